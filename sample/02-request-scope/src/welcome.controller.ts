import { readFile } from 'node:fs/promises';
import { Controller, Get, Header } from '@nestjs/common';

const PAGE = new URL('../public/index.html', import.meta.url);

/** Beside the notes, whose guard asks who the tenant is. */
@Controller()
export class WelcomeController {
  @Get()
  @Header('content-type', 'text/html; charset=utf-8')
  page(): Promise<string> {
    return readFile(PAGE, 'utf8');
  }
}
