import {
  CommitOutcomeUnknownError,
  createAsyncEngine,
  DBAPIError,
  text,
  type AsyncEngine,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { failureOf } from '../../support/items.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

let database: TestDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase('commit_answers');
  await database.query(`
    CREATE TABLE line (state text NOT NULL);
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'refused at COMMIT' USING ERRCODE = NEW.state; END $$;
    CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON line DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION refuse()`);
});
beforeEach(() => {
  engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0 });
});
afterEach(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
});
afterAll(() => database.drop());

/** A state of each class that a COMMIT may be refused with. */
const STATES = [
  '0A000',
  '22012',
  '23505',
  '23503',
  '23514',
  '25006',
  '2D000',
  '40001',
  '40P01',
  '42501',
  '42P01',
  '53100',
  '53200',
  '54000',
  '55P03',
  '57014',
  'P0001',
  'XX000',
  '08006',
  '57P01',
];

const store = (state: string): Promise<unknown> =>
  Promise.resolve(engine.execute(text('INSERT INTO line VALUES (:state)'), { state }));

const FORMS: Readonly<Record<string, (state: string) => Promise<unknown>>> = {
  'a transaction': (state) => engine.transaction(() => store(state)),
  'begin(work)': (state) =>
    engine.begin(async (conn) => conn.execute(text('INSERT INTO line VALUES (:state)'), { state })),
  'a handle': (state) =>
    engine.connect(async (conn) => {
      await conn.execute(text('INSERT INTO line VALUES (:state)'), { state });
      await conn.commit();
    }),
  'a statement that commits itself': store,
};

describe.each(Object.entries(FORMS))('COMMIT of %s that is answered with an error', (_, run) => {
  it.each(STATES)('%s is that error; nothing is stored, and the engine works on', async (state) => {
    const failure = await failureOf(run(state));
    expect(failure).toBeInstanceOf(DBAPIError);
    expect(failure).not.toBeInstanceOf(CommitOutcomeUnknownError);
    // A server that refuses writes is left.
    expect(failure).toMatchObject({ sqlState: state, connectionInvalidated: state === '25006' });
    expect(await database.query('SELECT FROM line')).toEqual([]);
    expect(await engine.scalar(text('SELECT 1'))).toBe(1);
  });
});
