import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  Param,
  ParseIntPipe,
  Post,
  Put,
  UseFilters,
} from '@nestjs/common';
import { DatabaseExceptionFilter } from 'nest-async-engine';
import { Loans } from './loans.js';
import { type Book, Shelf } from './shelf.js';

@Controller()
@UseFilters(DatabaseExceptionFilter)
export class LibraryController {
  constructor(
    private readonly shelf: Shelf,
    private readonly loans: Loans,
  ) {}

  @Post('books')
  add(@Body() { title }: { readonly title?: unknown }): Promise<Book> {
    return this.shelf.add(String(title));
  }

  @Get('readers/:reader')
  lentTo(@Param('reader') reader: string): Promise<Book[]> {
    return this.shelf.lentTo(reader);
  }

  @Put('readers/:reader/:book')
  @HttpCode(204)
  async lend(@Param('reader') reader: string, @Param('book', ParseIntPipe) book: number): Promise<void> {
    await this.loans.lend(book, reader);
  }

  @Delete('loans/:book')
  @HttpCode(204)
  async takeBack(@Param('book', ParseIntPipe) book: number): Promise<void> {
    await this.loans.takeBack(book);
  }
}
