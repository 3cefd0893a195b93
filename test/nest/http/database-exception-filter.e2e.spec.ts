import { Controller, Get, Param } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AsyncEngine, DatabaseExceptionFilter, DatabaseModule, text } from 'nest-async-engine';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const STATEMENTS: Readonly<Record<string, string>> = {
  missing: `SELECT 1 WHERE false`,
  unique: `INSERT INTO parts VALUES (1, 1, 1)`,
  foreign: `INSERT INTO parts VALUES (2, 9, 1)`,
  null: `INSERT INTO parts VALUES (2, 1, NULL)`,
  check: `INSERT INTO parts VALUES (2, 1, -1)`,
  full: `DO $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '53300'; END $$`,
  stopping: `DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '57P01'; END $$`,
  cancelled: `DO $$ BEGIN RAISE EXCEPTION 'late' USING ERRCODE = '57014'; END $$`,
  locked: `DO $$ BEGIN RAISE EXCEPTION 'locked' USING ERRCODE = '55P03'; END $$`,
  retry: `DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$`,
  syntax: `SELEC 1`,
};

@Controller()
class Statements {
  constructor(private readonly engine: AsyncEngine) {}

  @Get(':name')
  async run(@Param('name') name: string): Promise<unknown> {
    return await this.engine.execute(text(STATEMENTS[name] ?? 'SELECT 1')).one();
  }
}

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase('filter');
  await database.query(
    `CREATE TABLE parts (id INT PRIMARY KEY, whole INT REFERENCES parts, size INT NOT NULL CHECK (size > 0))`,
  );
  await database.query('INSERT INTO parts VALUES (1, 1, 1)');
});
afterAll(() => database.drop());

const byContainer = { providers: [{ provide: APP_FILTER, useClass: DatabaseExceptionFilter }] };

describe.each(
  ADAPTERS.flatMap(([adapter, create]) => [
    [adapter, 'APP_FILTER', create, byContainer] as const,
    [adapter, 'new', create, {}] as const,
  ]),
)('DatabaseExceptionFilter on %s by %s', (_adapter, way, createAdapter, provided) => {
  let running: RunningApp;

  beforeAll(async () => {
    running = await startApp(
      {
        imports: [DatabaseModule.forRoot({ url: database.url })],
        controllers: [Statements],
        ...provided,
      },
      createAdapter(),
      (app) => {
        if (way === 'new') app.useGlobalFilters(new DatabaseExceptionFilter());
      },
    );
  });
  afterAll(() => running.close());

  it.each([
    ['missing', 404, 'NO_RESULT_FOUND'],
    ['unique', 409, 'UNIQUE_VIOLATION'],
    ['foreign', 409, 'FOREIGN_KEY_VIOLATION'],
    ['null', 422, 'NOT_NULL_VIOLATION'],
    ['check', 422, 'CHECK_VIOLATION'],
    ['retry', 503, 'SERIALIZATION_FAILURE'],
    ['locked', 503, 'LOCK_NOT_AVAILABLE'],
    ['cancelled', 503, 'QUERY_CANCELED'],
    ['full', 503, 'OPERATIONAL'],
    ['stopping', 503, 'OPERATIONAL'],
  ])('answers %s with %i and the code of the error, without its statement', async (name, status, code) => {
    const response = await fetch(`${running.url}/${name}`);
    expect(response.status).toBe(status);
    expect(response.headers.get('retry-after')).toBe(status === 503 ? '1' : null);
    expect(await response.json()).toEqual({ statusCode: status, message: expect.any(String), code });
  });

  it('leaves an error that no client can mend a 500 that says nothing', async () => {
    const response = await fetch(`${running.url}/syntax`);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('SELEC');
  });
});
