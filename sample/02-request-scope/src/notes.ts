import { Injectable } from '@nestjs/common';
import { AsyncConnection, InjectScopedConnection, sql } from 'nest-async-engine';

export interface Note {
  readonly id: number;
  readonly text: string;
}

/** Asks for the connection of the request, and so makes the request one transaction. It stays a singleton. */
@Injectable()
export class Notes {
  constructor(@InjectScopedConnection() private readonly connection: AsyncConnection) {}

  /** No WHERE: the policy of the table shows the tenant's own rows. */
  all(): Promise<Note[]> {
    return this.connection.execute<Note>(sql`SELECT id, text FROM notes ORDER BY id`).all();
  }

  async add(text: string): Promise<number> {
    return await this.connection
      .execute<{ id: number }>(sql`INSERT INTO notes (text) VALUES (${text}) RETURNING id`)
      .scalarOne();
  }
}
