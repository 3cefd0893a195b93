import { readFile } from 'node:fs/promises';
import {
  Body,
  Controller,
  Delete,
  Get,
  Header,
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

const PAGE = new URL('../public/index.html', import.meta.url);

@Controller()
@UseFilters(DatabaseExceptionFilter)
export class LibraryController {
  constructor(
    private readonly shelf: Shelf,
    private readonly loans: Loans,
  ) {}

  @Get()
  @Header('content-type', 'text/html; charset=utf-8')
  page(): Promise<string> {
    return readFile(PAGE, 'utf8');
  }

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
