import { Injectable } from '@nestjs/common';
import { AsyncEngine, sql, Transactional } from 'nest-async-engine';

export interface ImportEntry {
  readonly id: number;
  readonly lines: number;
  readonly outcome: string;
}

/** What was tried, whatever became of it. */
@Injectable()
export class ImportLog {
  constructor(private readonly engine: AsyncEngine) {}

  all(): Promise<ImportEntry[]> {
    return this.engine.execute<ImportEntry>(sql`SELECT id, lines, outcome FROM imports ORDER BY id`).all();
  }

  /** On a connection of its own: the entry stays when the import around it is rolled back. */
  @Transactional({ propagation: 'requires-new' })
  async write(lines: number, outcome: string): Promise<void> {
    await this.engine.execute(sql`INSERT INTO imports (lines, outcome) VALUES (${lines}, ${outcome})`);
  }
}
