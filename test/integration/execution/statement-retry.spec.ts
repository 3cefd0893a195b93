import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  IllegalStateError,
  IntegrityError,
  SerializationFailureError,
  sql,
  text,
  type AsyncEngine,
} from 'nest-async-engine/engine';
import { failureOf, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;

/** Stores an item, after the server has refused it with 40001 so often. */
const store = (refusals: number) => sql`SELECT store('pen', ${refusals}) AS tries`;
const stored = text<{ name: string }>('SELECT name FROM item');

beforeAll(async () => {
  items = await ItemDatabase.open('statement_retry');
  await items.database.query(
    `CREATE SEQUENCE tries;
     CREATE FUNCTION store(name text, refusals int) RETURNS int LANGUAGE plpgsql AS $$
       DECLARE count int := nextval('tries');
       BEGIN
         INSERT INTO item VALUES (name);
         IF count <= refusals THEN RAISE SQLSTATE '40001'; END IF;
         RETURN count;
       END $$`,
  );
});
beforeEach(async () => {
  await items.database.query('ALTER SEQUENCE tries RESTART; DELETE FROM item');
  engine = items.engine();
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const retry = { retries: 3, baseDelay: 1 };

describe('a statement outside of transactions with retry', () => {
  it('is run again until the server takes it, and is stored once', async () => {
    expect(await engine.execute(store(2), undefined, { retry }).one()).toEqual({ tries: 3 });
    expect(await engine.execute(stored).all()).toEqual([{ name: 'pen' }]);
  });

  it('is run again by scalar(), scalars() and execDriverSql(), and as a list', async () => {
    expect(await engine.scalar(store(1), undefined, { retry })).toBe(2);
    await items.database.query('ALTER SEQUENCE tries RESTART; DELETE FROM item');
    expect(await engine.scalars(store(1), undefined, { retry }).all()).toEqual([2]);
    await items.database.query('ALTER SEQUENCE tries RESTART; DELETE FROM item');
    expect(await engine.execDriverSql("SELECT store('ink', 1)", [], { retry }).scalar()).toBe(2);
    await items.database.query('ALTER SEQUENCE tries RESTART; DELETE FROM item');
    await engine.execute(text('SELECT store(:name, 1)'), [{ name: 'a' }, { name: 'b' }], { retry });
    expect((await engine.execute(stored).scalars().all()).toSorted()).toEqual(['a', 'b']);
  });

  it('is run again with an isolation level of the engine, as a transaction of its own', async () => {
    const strict = engine.executionOptions({ isolationLevel: 'SERIALIZABLE' });
    expect(await strict.scalar(store(2), undefined, { retry })).toBe(3);
  });

  it('fails with the last refusal when it was run so often', async () => {
    const failure = await failureOf(engine.execute(store(9), undefined, { retry }));
    expect(failure).toBeInstanceOf(SerializationFailureError);
    expect(await engine.scalar(text("SELECT nextval('tries')::int"))).toBe(5);
    expect(await engine.execute(stored).all()).toEqual([]);
  });

  it('is not run again for another error', async () => {
    await items.database.query("INSERT INTO item VALUES ('pen')");
    const failure = await failureOf(engine.execute(store(0), undefined, { retry }));
    expect(failure).toBeInstanceOf(IntegrityError);
    expect(await engine.scalar(text("SELECT nextval('tries')::int"))).toBe(2);
  });

  it('is told of at each run', async () => {
    let begun = 0;
    engine.on('beforeExecute', () => void (begun += 1));
    await engine.execute(store(2), undefined, { retry });
    expect(begun).toBe(3);
  });
});

describe('retry is refused before anything is sent', () => {
  it.each<[string, () => Promise<unknown>]>([
    [
      'in a transaction',
      () => engine.transaction(async () => await engine.execute(store(0), undefined, { retry })),
    ],
    [
      'on a connection',
      () => engine.connect(async (connection) => await connection.execute(store(0), undefined, { retry })),
    ],
  ])('%s', async (_place, run) => {
    expect(await failureOf(run())).toBeInstanceOf(IllegalStateError);
    expect(await engine.scalar(text("SELECT nextval('tries')::int"))).toBe(1);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['of a stream', async () => await engine.stream(store(0), undefined, { retry } as never).all()],
    ['of a batch', () => engine.batch([store(0)], { retry } as never)],
    [
      'of a COPY',
      () => engine.copyFrom('COPY item FROM STDIN', Readable.from(['pen\n']), { retry } as never),
    ],
    ['of the options of an engine', async () => engine.executionOptions({ retry } as never)],
    ['that is no number', async () => await engine.execute(store(0), undefined, { retry: -1 })],
  ])('%s', async (_place, run) => {
    expect(await failureOf(run())).toBeInstanceOf(ArgumentError);
    expect(await engine.scalar(text("SELECT nextval('tries')::int"))).toBe(1);
  });
});
