import { Injectable, type OnModuleInit } from '@nestjs/common';
import { AsyncEngine, sql } from 'nest-async-engine';

@Injectable()
export class Schema implements OnModuleInit {
  constructor(private readonly engine: AsyncEngine) {}

  async onModuleInit(): Promise<void> {
    await this.engine.transaction(async () => {
      await this.engine.execute(
        sql`CREATE TABLE IF NOT EXISTS contacts (
              id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL,
              email text NOT NULL UNIQUE CHECK (email LIKE '%_@_%'))`,
      );
      await this.engine.execute(
        sql`CREATE TABLE IF NOT EXISTS imports (
              id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, lines int NOT NULL, outcome text NOT NULL)`,
      );
    });
  }
}
