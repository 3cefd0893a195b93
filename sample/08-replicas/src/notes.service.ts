import { Injectable, type OnModuleInit } from '@nestjs/common';
import { AsyncEngine, sql, Transactional } from 'nest-async-engine';

/** What a statement has found, and on which server it ran. */
export interface Notes {
  readonly notes: number;
  readonly server: 'primary' | 'standby';
}

@Injectable()
export class NotesService implements OnModuleInit {
  constructor(private readonly engine: AsyncEngine) {}

  async onModuleInit(): Promise<void> {
    await this.engine.execute(sql`CREATE TABLE IF NOT EXISTS notes (id int GENERATED ALWAYS AS IDENTITY)`);
  }

  @Transactional()
  async write(): Promise<Notes> {
    await this.engine.execute(sql`INSERT INTO notes DEFAULT VALUES`);
    return await this.count();
  }

  /** A root transaction that may not write: it goes to the standby, if that has what this client has written. */
  @Transactional({ readOnly: true })
  async read(): Promise<Notes> {
    return await this.count();
  }

  private count(): Promise<Notes> {
    return this.engine
      .execute<Notes>(
        sql`SELECT count(*)::int AS notes, CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END AS server
            FROM notes`,
      )
      .one();
  }
}
