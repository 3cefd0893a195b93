import { type AsyncEngine, sql } from 'nest-async-engine';

/** The tables, for the application and for its tests. */
export async function createTables(engine: AsyncEngine): Promise<void> {
  await engine.transaction(async () => {
    await engine.execute(
      sql`CREATE TABLE IF NOT EXISTS books (
            id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text NOT NULL UNIQUE)`,
    );
    await engine.execute(
      sql`CREATE TABLE IF NOT EXISTS loans (
            book int PRIMARY KEY REFERENCES books, reader text NOT NULL CHECK (reader <> ''))`,
    );
  });
}
