import { Body, Controller, Get, Headers, Post, UseFilters, UseGuards } from '@nestjs/common';
import { FailureJournalFilter } from './failure-journal.filter.js';
import { Journal } from './journal.js';
import { type Note, Notes } from './notes.js';
import { TenantGuard } from './tenant.js';

@Controller()
@UseGuards(TenantGuard)
@UseFilters(FailureJournalFilter)
export class NotesController {
  constructor(
    private readonly notes: Notes,
    private readonly journal: Journal,
  ) {}

  @Get('notes')
  all(): Promise<Note[]> {
    return this.notes.all();
  }

  /** Both rows or none: the journal, a singleton, writes in the transaction of this request. */
  @Post('notes')
  async add(
    @Headers('x-tenant') tenant: string,
    @Body('text') text: unknown,
  ): Promise<{ readonly id: number }> {
    await this.journal.write(tenant, 'a note is written');
    return { id: await this.notes.add(String(text ?? '')) };
  }

  @Get('journal')
  lines(@Headers('x-tenant') tenant: string): Promise<string[]> {
    return this.journal.linesOf(tenant);
  }
}
