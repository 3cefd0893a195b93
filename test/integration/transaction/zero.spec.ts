import {
  createAsyncEngine,
  text,
  QueryCanceledError,
  TransactionTimeoutError,
} from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { failureOf, insert, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
beforeAll(async () => {
  items = await ItemDatabase.open('zero');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const ONE = text('SELECT 1');
const AT_ONCE = { timeout: 0 };

const limits = text(
  "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'), " +
    "current_setting('idle_in_transaction_session_timeout')",
);

describe('a timeout of 0', () => {
  it.each<[string, (engine: AsyncEngine, work: () => Promise<unknown>) => Promise<unknown>]>([
    ['engine.transaction()', (engine, work) => engine.transaction(work, AT_ONCE)],
    ['engine.begin()', (engine, work) => engine.begin(work, AT_ONCE)],
    ['connection.begin()', (engine, work) => engine.connect((connection) => connection.begin(work, AT_ONCE))],
    ['a nested one', (engine, work) => engine.transaction(() => engine.transaction(work, AT_ONCE))],
    [
      'one inside another without a time of its own',
      (engine, work) => engine.transaction(() => engine.transaction(work), AT_ONCE),
    ],
  ])('refuses the work of %s before it is called', async (_name, run) => {
    const work = vi.fn<() => Promise<string>>(() => Promise.resolve('done'));
    expect(await failureOf(run(items.engine(), work))).toBeInstanceOf(TransactionTimeoutError);
    expect(work).not.toHaveBeenCalled();
  });

  it('refuses each statement and the COMMIT of a handle', async () => {
    await items.engine().connect(async (connection) => {
      const transaction = await connection.begin(AT_ONCE);
      expect(await failureOf(connection.execute(insert('never')))).toBeInstanceOf(TransactionTimeoutError);
      expect(await failureOf(transaction.commit())).toBeInstanceOf(TransactionTimeoutError);
    });
    expect(await items.names()).toEqual([]);
  });

  it.each<[string, (engine: AsyncEngine) => PromiseLike<unknown>]>([
    ['execute()', (engine) => engine.execute(insert('never'), {}, AT_ONCE)],
    ['scalar()', (engine) => engine.scalar(ONE, {}, AT_ONCE)],
    ['execDriverSql()', (engine) => engine.execDriverSql("INSERT INTO item VALUES ('never')", [], AT_ONCE)],
    [
      'an executemany',
      (engine) =>
        engine.execute(text('INSERT INTO item VALUES (:name)'), [{ name: 'a' }, { name: 'b' }], AT_ONCE),
    ],
    ['stream()', (engine) => engine.stream(ONE, {}, AT_ONCE).all()],
    ['batch()', (engine) => engine.connect((connection) => connection.batch([ONE, ONE], AT_ONCE))],
    ['one in a transaction', (engine) => engine.transaction(() => engine.execute(ONE, {}, AT_ONCE))],
  ])('of %s sends nothing', async (_name, run) => {
    expect(await failureOf(run(items.engine()))).toBeInstanceOf(QueryCanceledError);
    expect(await items.names()).toEqual([]);
  });
});

describe('a limit of the server', () => {
  it.each([
    [0, '0'],
    [0.2, '1ms'],
    [1_500.5, '1501ms'],
  ])('of %d ms is %s', async (given, shown) => {
    const options = { statementTimeout: given, lockTimeout: given, idleInTransactionTimeout: given };
    await using engine = createAsyncEngine(items.database.url, options);
    expect(await engine.execute(limits).tuples().one()).toEqual([shown, shown, shown]);
    const plain = items.engine();
    const inside = await plain.transaction(() => plain.execute(limits).tuples().one(), {
      statementTimeout: given,
      lockTimeout: given,
    });
    expect(inside.slice(0, 2)).toEqual([shown, shown]);
  });
});
