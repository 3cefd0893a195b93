import { readFile } from 'node:fs/promises';
import { BadRequestException, Body, Controller, Get, Header, HttpCode, Post, Query } from '@nestjs/common';
import { type Contact, Contacts } from './contacts.js';
import { type ImportEntry, ImportLog } from './import-log.js';
import { type ImportMode, type ImportReport, Imports } from './imports.js';

const PAGE = new URL('../public/index.html', import.meta.url);

const MODES: readonly ImportMode[] = ['what-is-good', 'all-or-nothing'];

@Controller()
export class AddressBookController {
  constructor(
    private readonly contacts: Contacts,
    private readonly importLog: ImportLog,
    private readonly imports: Imports,
  ) {}

  @Get()
  @Header('content-type', 'text/html; charset=utf-8')
  page(): Promise<string> {
    return readFile(PAGE, 'utf8');
  }

  @Get('contacts')
  allContacts(): Promise<Contact[]> {
    return this.contacts.all();
  }

  @Get('imports')
  allImports(): Promise<ImportEntry[]> {
    return this.importLog.all();
  }

  @Post('imports')
  @HttpCode(200)
  import(@Body() body: unknown, @Query('mode') wanted = 'what-is-good'): Promise<ImportReport> {
    const mode = MODES.find((one) => one === wanted);
    if (mode === undefined) throw new BadRequestException(`mode is one of ${MODES.join(', ')}.`);
    if (typeof body !== 'string') throw new BadRequestException('Send lines of text: Name <address>.');
    const lines = body.split('\n').map((line) => line.trim());
    return this.imports.run(
      lines.filter((line) => line !== ''),
      mode,
    );
  }
}
