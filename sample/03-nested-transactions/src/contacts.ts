import { Injectable } from '@nestjs/common';
import {
  AsyncEngine,
  CheckViolationError,
  sql,
  Transactional,
  UniqueViolationError,
} from 'nest-async-engine';

export interface Contact {
  readonly id: number;
  readonly name: string;
  readonly email: string;
}

/** Why a line is not stored, in words for whoever wrote it. */
export class BadLineError extends Error {}

@Injectable()
export class Contacts {
  constructor(private readonly engine: AsyncEngine) {}

  all(): Promise<Contact[]> {
    return this.engine.execute<Contact>(sql`SELECT id, name, email FROM contacts ORDER BY id`).all();
  }

  /**
   * Called on its own this is a transaction, called from an import a savepoint inside it: the same method, and nothing here
   * knows which of the two it is.
   */
  @Transactional()
  async add(line: string): Promise<void> {
    const [, name, email] = /^(.*?) *<(.*)>$/.exec(line) ?? [undefined, line, ''];
    try {
      await this.engine.execute(sql`INSERT INTO contacts (name, email) VALUES (${name}, ${email})`);
    } catch (error) {
      if (error instanceof UniqueViolationError) throw new BadLineError(`${email} is there already`);
      if (error instanceof CheckViolationError) throw new BadLineError(`'${line}' has no address`);
      throw error;
    }
  }
}
