import { Injectable, type OnModuleInit } from '@nestjs/common';
import { AsyncEngine } from 'nest-async-engine';

// The owner of a table is exempt from its policies, so requests run as somebody else.
const SCRIPT = `
  DO $$ BEGIN CREATE ROLE notebook_reader; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
  CREATE TABLE IF NOT EXISTS notes (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL DEFAULT current_setting('app.tenant'),
    text text NOT NULL CHECK (trim(text) <> ''));
  CREATE TABLE IF NOT EXISTS journal (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant text NOT NULL, line text NOT NULL);
  ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
  DROP POLICY IF EXISTS own_notes ON notes;
  CREATE POLICY own_notes ON notes USING (tenant = current_setting('app.tenant'));
  GRANT SELECT, INSERT ON notes, journal TO notebook_reader;
`;

@Injectable()
export class Schema implements OnModuleInit {
  constructor(private readonly engine: AsyncEngine) {}

  async onModuleInit(): Promise<void> {
    await this.engine.begin((connection) => connection.run((client) => client.query(SCRIPT)));
  }
}
