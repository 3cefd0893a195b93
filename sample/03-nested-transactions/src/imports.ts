import { Injectable } from '@nestjs/common';
import { AsyncEngine, Transactional } from 'nest-async-engine';
import { BadLineError, Contacts } from './contacts.js';
import { ImportLog } from './import-log.js';

export type ImportMode = 'what-is-good' | 'all-or-nothing';

export interface ImportReport {
  readonly stored: number;
  readonly refused: readonly string[];
}

@Injectable()
export class Imports {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly contacts: Contacts,
    private readonly log: ImportLog,
  ) {}

  /** One transaction for all lines: a reader of the table sees the whole import or nothing of it. */
  @Transactional()
  async run(lines: readonly string[], mode: ImportMode): Promise<ImportReport> {
    // One savepoint each. They follow one another on the one connection, so that Promise.all is safe here.
    const refusals = await Promise.all(lines.map((line) => this.tryToAdd(line)));
    const refused = refusals.filter((refusal) => refusal !== undefined);
    const isStored = mode === 'what-is-good' || refused.length === 0;
    if (!isStored) this.engine.currentConnection().getTransaction()?.setRollbackOnly('a line was refused');
    await this.log.write(lines.length, isStored ? `${lines.length - refused.length} stored` : 'rolled back');
    return { stored: isStored ? lines.length - refused.length : 0, refused };
  }

  /** A line that failed took its savepoint with it, and nothing else: the error may be caught. */
  private async tryToAdd(line: string): Promise<string | undefined> {
    try {
      await this.contacts.add(line);
      return undefined;
    } catch (error) {
      if (error instanceof BadLineError) return error.message;
      throw error;
    }
  }
}
