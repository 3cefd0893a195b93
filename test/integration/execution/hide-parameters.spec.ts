import { inspect } from 'node:util';
import { createAsyncEngine, DBAPIError, sql, text, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failureOf } from '../../support/items.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

const SECRET = 'alice@example.org "4711"';

let database: TestDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase();
  engine = createAsyncEngine(database.url, { hideParameters: true });
  await database.query(`
    CREATE TABLE member (email text PRIMARY KEY, CHECK (email <> 'x'));
    CREATE TABLE late (email text UNIQUE DEFERRABLE INITIALLY DEFERRED);
    CREATE TYPE mood AS ENUM ('sad');
    CREATE FUNCTION refuse(email text) RETURNS int LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'no member %', email USING DETAIL = email, HINT = 'ask ' || email; END $$;`);
  await database.query('INSERT INTO member VALUES ($1)', [SECRET]);
});

afterAll(async () => {
  await engine.aclose();
  await database.drop();
});

/** All that a log could make of an error. */
function printed(error: unknown): string {
  const { message, stack, detail, hint, cause } = error as DBAPIError;
  return [
    JSON.stringify(error),
    inspect(error, { depth: 10 }),
    message,
    stack,
    detail,
    hint,
    JSON.stringify(cause),
  ].join();
}

describe('hideParameters', () => {
  it.each<[string, () => PromiseLike<unknown>]>([
    ['an integer', () => engine.execute(sql`SELECT ${SECRET}::int`)],
    ['a date', () => engine.execute(sql`SELECT ${SECRET}::date`)],
    ['json', () => engine.execute(sql`SELECT ${`{"pin": ${SECRET}`}::jsonb`)],
    ['a uuid', () => engine.execute(sql`SELECT ${SECRET}::uuid`)],
    ['an enum', () => engine.execute(sql`SELECT ${SECRET}::mood`)],
    ['the name of a table', () => engine.execute(sql`SELECT ${'"alice@example.org"'}::regclass`)],
    ['a key that is there', () => engine.execute(sql`INSERT INTO member VALUES (${SECRET})`)],
    [
      'one of a list',
      () => engine.execute(text('INSERT INTO member VALUES (:e)'), [{ e: 'bob' }, { e: SECRET }]),
    ],
    ['a driver statement', () => engine.execDriverSql('SELECT $1::int', [SECRET])],
    ['a row of a stream', () => engine.stream(sql`SELECT ${SECRET}::int`).all()],
    ['what a function says', () => engine.execute(sql`SELECT refuse(${SECRET})`)],
    [
      'a key that COMMIT refuses',
      () =>
        engine.transaction(async () => {
          for (const _ of 'ab') await engine.execute(sql`INSERT INTO late VALUES (${SECRET})`);
        }),
    ],
  ])('shows nothing of %s', async (_, work) => {
    const error = await failureOf(work());
    expect(error).toBeInstanceOf(DBAPIError);
    expect((error as DBAPIError).sqlState).toHaveLength(5);
    expect(printed(error)).not.toMatch(/alice|4711/i);
  });

  it('keeps the sentence and the names that the server gives', async () => {
    const integer = await failureOf(engine.execute(sql`SELECT ${SECRET}::int`));
    expect(String(integer)).toContain('invalid input syntax for type integer: "…"');
    const taken = await failureOf(engine.execute(sql`INSERT INTO member VALUES (${SECRET})`));
    expect(String(taken)).toContain('duplicate key value violates unique constraint "member_pkey"');
    expect(taken).toMatchObject({ constraint: 'member_pkey', detail: '[hidden by hideParameters]' });
  });
});

describe('an error as JSON', () => {
  it('has its name, code, message and facts, and no values', async () => {
    await using open = createAsyncEngine(database.url);
    const error = await failureOf(open.execute(sql`SELECT ${'x1'}::int`));
    const facts = JSON.parse(JSON.stringify(error)) as Record<string, unknown>;
    expect(facts).toMatchObject({
      name: 'DataError',
      code: 'DATA',
      sqlState: '22P02',
      statement: 'SELECT $1::int',
    });
    expect(facts['message']).toContain('invalid input syntax');
    expect(facts).not.toHaveProperty('parameters');
  });
});
