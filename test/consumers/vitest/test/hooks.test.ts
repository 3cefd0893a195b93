import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createAsyncEngine, sql } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { createTestDatabase, rollbackEach } from 'nest-async-engine/testing';
import type { TestDatabase } from 'nest-async-engine/testing';

describe('an engine without Nest, with hooks that are handed over', () => {
  let database: TestDatabase;
  let engine: AsyncEngine;

  beforeAll(async () => {
    database = await createTestDatabase();
    engine = createAsyncEngine(database.url);
    await engine.execute(sql`CREATE TABLE names (name TEXT PRIMARY KEY)`);
  });
  afterAll(async () => {
    await engine.aclose();
    await database.drop();
  });
  rollbackEach(() => engine, { beforeEach, afterEach });

  it.each(['first', 'second'])('is empty for the %s test', async () => {
    await engine.transaction(() => engine.execute(sql`INSERT INTO names VALUES ('Ada')`));
    expect(await engine.scalar(sql`SELECT count(*)::INT FROM names`)).toBe(1);
  });
});
