import {
  ConnectionLostError,
  createAsyncEngine,
  DataError,
  QueryCanceledError,
  StatementError,
  text,
  type AsyncEngine,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../../../support/process/barrier.js';
import { startFaultyProxy, type FaultyProxy } from '../../../support/server/faulty-proxy.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';
import { failureOf } from '../../../support/items.js';

const PAGE = 10;

let database: TestDatabase;
let proxy: FaultyProxy;
let engine: AsyncEngine;

const insert = text('INSERT INTO item (id, name) VALUES (:id, :name)');
const items = (count: number): { id: unknown; name: unknown }[] =>
  Array.from({ length: count }, (_, index) => ({ id: index, name: `n${index}` }));
const storedIds = async () =>
  (await database.query<{ id: number }>('SELECT id FROM item ORDER BY id')).map(({ id }) => id);
const ids = (count: number) => items(count).map(({ id }) => id);
const sent = (type: string) => proxy.messages.filter((message) => message.type === type).length;

/** Runs `work` while another session has stored `id` and may still undo it, and ends it when the executemany waits for that. */
async function whileTaken(id: number, work: () => PromiseLike<unknown>, end: () => void): Promise<unknown> {
  await using other = createAsyncEngine(database.url, { poolSize: 1 });
  await using connection = await other.connect();
  await connection.execute(insert, { id, name: 'taken' });
  const failure = failureOf(work());
  await eventually(async () => {
    const waiting = await database.query("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
    expect(waiting).toHaveLength(1);
  });
  end();
  return await failure;
}

beforeAll(async () => {
  database = await createDatabase('pages');
});

beforeEach(async () => {
  await database.query('DROP TABLE IF EXISTS item; CREATE TABLE item (id int UNIQUE, name text)');
  proxy = await startFaultyProxy(database.url);
  engine = createAsyncEngine(proxy.url, {
    poolSize: 1,
    maxOverflow: 0,
    insertmanyvaluesPageSize: PAGE,
  });
  // Tells the types of the binds.
  await engine.execute(insert, items(4));
  await database.query('TRUNCATE item');
  proxy.reset();
});

afterEach(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
  await proxy.close();
});

afterAll(() => database.drop());

describe('pages of an executemany', () => {
  it('are two in flight at most', async () => {
    const answered = proxy.holdWhen(({ type, text: tag }) => type === 'CommandComplete' && tag !== 'BEGIN');
    const work = engine.execute(insert, items(5 * PAGE));
    await answered;
    const inFlight = () => sent('Bind') - 1;
    await eventually(() => expect(inFlight()).toBeGreaterThan(1));
    expect(inFlight()).toBe(2);
    proxy.resume();
    await work;
    expect(await storedIds()).toEqual(ids(5 * PAGE));
  });

  it('share one Sync', async () => {
    await engine.execute(insert, items(5 * PAGE));
    // COMMIT has a Query of its own.
    expect([sent('Sync'), sent('Query')]).toEqual([1, 1]);
  });

  it('ask for the types before any row is sent, and go as arrays', async () => {
    const other = text('INSERT INTO item (name, id) VALUES (:name, :id)');
    await engine.execute(other, items(3 * PAGE));
    const begin = 1;
    expect([sent('Bind'), await storedIds()]).toEqual([begin + 3, ids(3 * PAGE)]);
  });

  it('give what RETURNING says in the order of the input', async () => {
    const returning = text('INSERT INTO item (id, name) VALUES (:id, :name) RETURNING id');
    const sets = items(4 * PAGE + 1).reverse();
    for (const _ of ['types asked for first', 'types known']) {
      const result = await engine.execute(returning, sets);
      expect([result.rowCount, result.all()]).toEqual([sets.length, sets.map(({ id }) => ({ id }))]);
      await database.query('TRUNCATE item');
    }
  });

  it('take sets that are no rows of one INSERT, and count what they change', async () => {
    await engine.execute(insert, items(3 * PAGE));
    const rename = text("UPDATE item SET name = 'x' WHERE id < :id");
    expect((await engine.execute(rename, items(3 * PAGE))).rowCount).toBe((29 * 30) / 2);
  });
});

describe('the sets of an executemany', () => {
  it('are taken at the call: what is changed afterwards is not sent', async () => {
    const sets = items(5 * PAGE);
    const work = engine.execute(insert, sets);
    for (const set of sets) set.id = -1;
    sets.length = 0;
    await work;
    expect(await storedIds()).toEqual(ids(5 * PAGE));
  });

  it('are taken at the call where they are lists of the driver, too', async () => {
    const sets = items(5 * PAGE).map(({ id, name }) => [id, name]);
    const work = engine.execDriverSql('INSERT INTO item (id, name) VALUES ($1, $2)', sets);
    sets.length = 0;
    await work;
    expect(await storedIds()).toEqual(ids(5 * PAGE));
  });

  it('are refused as a whole, before anything is sent, where the last of them lacks a value', async () => {
    const sets = items(5 * PAGE).with(-1, { id: 1, name: undefined });
    const failure = await engine.transaction(async () => {
      const refused = await failureOf(engine.execute(insert, sets));
      await engine.execute(insert, { id: 100, name: 'later' });
      return refused;
    });
    expect(failure).toMatchObject({ code: 'STATEMENT', message: expect.stringContaining('set 49') });
    expect(await storedIds()).toEqual([100]);
  });

  it('keep what the options of the statement say of its name', async () => {
    const update = "UPDATE item SET name = 'x' WHERE id = :id";
    const named = () =>
      engine
        .scalars(text("SELECT statement FROM pg_prepared_statements WHERE statement LIKE 'UPDATE item%'"))
        .all();
    await engine.execute(text(update), items(3 * PAGE), { prepare: false });
    expect(await named()).toEqual([]);
    await engine.execute(text(update), items(3 * PAGE));
    expect(await named()).toEqual([update.replace(':id', '$1')]);
  });

  it('are shown to listeners by position, which may change them', async () => {
    const seen: unknown[] = [];
    engine.on('beforeCursorExecute', ({ parameters, isMany }) => {
      seen.push(isMany, parameters);
      return { parameters: (parameters as unknown[][]).map(([id]) => [id, 'changed']) };
    });
    await engine.execute(insert, items(2 * PAGE));
    expect(seen).toEqual([true, items(2 * PAGE).map(({ id, name }) => [id, name])]);
    expect(await database.query('SELECT DISTINCT name FROM item')).toEqual([{ name: 'changed' }]);
  });
});

describe('a page that fails', () => {
  const failing = (): typeof sets =>
    sets.with(12, { id: 'first', name: '' }).with(25, { id: 'second', name: '' });
  const sets = items(5 * PAGE);

  it('is the one that is told of, and nothing is stored', async () => {
    const failure = await failureOf(engine.execute(insert, failing()));
    expect([failure, await storedIds()]).toEqual([
      expect.objectContaining({ sqlState: '22P02', message: expect.stringContaining('"first"') }),
      [],
    ]);
  });

  it('ends the sending', async () => {
    await failureOf(engine.execute(insert, failing()));
    // BEGIN, at most three pages, ROLLBACK.
    expect(sent('Bind')).toBeLessThanOrEqual(5);
  });

  it('fails its transaction with the first error', async () => {
    const failures = await engine.connect(async (connection) => [
      await failureOf(connection.execute(insert, failing())),
      connection.getTransaction()?.state,
      await failureOf(connection.execute(text('SELECT 1'))),
    ]);
    expect(failures).toEqual([
      expect.any(DataError),
      'failed',
      expect.objectContaining({ sqlState: '25P02', cause: failures[0] }),
    ]);
  });

  it('is undone alone by a savepoint around it', async () => {
    await engine.transaction(async () => {
      await engine.execute(insert, { id: -1, name: 'kept' });
      await failureOf(engine.transaction(() => engine.execute(insert, failing())));
    });
    expect(await storedIds()).toEqual([-1]);
  });

  it('undoes those before it where each statement commits itself', async () => {
    await using connection = await engine.executionOptions({ isolationLevel: 'AUTOCOMMIT' }).connect();
    await failureOf(connection.execute(insert, failing()));
    expect(await storedIds()).toEqual([]);
  });

  it('is sent again, with all before it, where its plan was stale', async () => {
    const returning = text('INSERT INTO item (id, name) VALUES (:id, :name) RETURNING *');
    const run = () => engine.execute(returning, items(3 * PAGE + 1));
    await run();
    await database.query('TRUNCATE item; ALTER TABLE item ADD COLUMN more int');
    expect([(await run()).keys(), await storedIds()]).toEqual([['id', 'name', 'more'], ids(3 * PAGE + 1)]);
  });

  it('is one that cannot be given to the user, such as a COPY', async () => {
    const copies = Array.from({ length: 3 * PAGE }, () => []);
    expect(await failureOf(engine.execDriverSql('COPY item TO STDOUT', copies))).toMatchObject({
      code: 'INTERFACE',
    });
    // BEGIN and two pages; ROLLBACK has none.
    expect(sent('Bind')).toBe(1 + 2 * PAGE);
  });
});

describe('a value that has no text', () => {
  const unsendable = { id: 1, name: Symbol('x') };

  it('on the first page is told before anything is sent, also the first time', async () => {
    const fresh = text('INSERT INTO item (name, id) VALUES (:name, :id)');
    for (const statement of [insert, fresh]) {
      const work = engine.execute(statement, items(3 * PAGE).with(4, unsendable));
      await expect(work).rejects.toBeInstanceOf(StatementError);
    }
    expect(sent('Bind')).toBe(0);
  });

  it('on a later page leaves the transaction as it is, with the pages before it', async () => {
    await engine.transaction(async () => {
      const work = engine.execute(insert, items(5 * PAGE).with(25, unsendable));
      await expect(work).rejects.toMatchObject({
        code: 'STATEMENT',
        statement: expect.stringContaining('$1'),
      });
      await engine.execute(insert, { id: 100, name: 'later' });
    });
    expect(await storedIds()).toEqual([...ids(20), 100]);
  });

  it('undoes everything where the executemany is a transaction of its own', async () => {
    await failureOf(engine.execute(insert, items(5 * PAGE).with(25, unsendable)));
    expect(await storedIds()).toEqual([]);
  });
});

describe('an executemany of many pages', () => {
  const sets = items(50 * PAGE);

  it('is cancelled by its signal on whatever page it is', async () => {
    const abort = new AbortController();
    const failure = await whileTaken(
      25 * PAGE,
      () => engine.execute(insert, sets, { signal: abort.signal }),
      () => abort.abort(),
    );
    expect([failure, await storedIds()]).toEqual([expect.any(QueryCanceledError), []]);
  });

  it('is cancelled by its timeout, which is for all pages together', async () => {
    const work = () => engine.execute(insert, sets, { timeout: 300 });
    const failure = await whileTaken(25 * PAGE, work, () => undefined);
    expect([failure, await storedIds()]).toEqual([expect.any(QueryCanceledError), []]);
  });

  it('fails once when its connection is lost, and stores nothing', async () => {
    const lost: unknown[] = [];
    engine.on('handleError', ({ error }) => void lost.push(error));
    const work = () => engine.execute(insert, sets);
    const failure = await whileTaken(25 * PAGE, work, () => proxy.cut());
    expect(lost).toEqual([failure]);
    expect([failure, await storedIds()]).toEqual([expect.any(ConnectionLostError), []]);
  });
});
