import { AsyncLocalStorage } from 'node:async_hooks';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ConnectionLostError,
  PendingRollbackError,
  QueryCanceledError,
  sql,
  text,
  UniqueViolationError,
  type AsyncConnection,
  type AsyncEngine,
} from 'nest-async-engine/engine';
import { failureOf, insert, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
let connection: AsyncConnection;
beforeAll(async () => {
  items = await ItemDatabase.open('statement_gate');
});
beforeEach(async () => {
  engine = items.engine();
  connection = await engine.connect();
});
afterEach(async () => {
  await connection.close();
  await items.expectClean();
});
afterAll(() => items.close());

const end = text('SELECT pg_terminate_backend(pg_backend_pid())');
const ONE = text('SELECT 1');

/** The state of the transaction when the first caller hears of a failure, and the failure. */
async function heard(statement: Promise<unknown>): Promise<{ state: string | undefined; error: unknown }> {
  const transaction = connection.getTransaction();
  return await statement.then(
    () => ({ state: 'no failure', error: undefined }),
    (error: unknown) => ({ state: transaction?.state, error }),
  );
}

describe.each([
  ['in its first statement', undefined],
  ['in a later one', ONE],
])('%s, a transaction knows before its caller', (_, before) => {
  beforeEach(async () => {
    await connection.begin();
    if (before !== undefined) await connection.execute(before);
  });

  it('that a statement has failed', async () => {
    await items.database.query(`INSERT INTO item (name) VALUES ('pen')`);
    const { state, error } = await heard(connection.execute(insert('pen')));
    expect(state).toBe('failed');
    expect(error).toBeInstanceOf(UniqueViolationError);
    expect(await failureOf(connection.execute(ONE))).toMatchObject({ sqlState: '25P02', cause: error });
  });

  it('that its session has died', async () => {
    const { state, error } = await heard(connection.execute(end));
    expect(state).toBe('cancelled');
    expect(error).toBeInstanceOf(ConnectionLostError);
    expect(await failureOf(connection.execute(ONE))).toBeInstanceOf(PendingRollbackError);
    await connection.rollback();
    expect(await connection.scalar(ONE)).toBe(1);
  });

  it('that a statement was cancelled', async () => {
    const stop = new AbortController();
    const statement = heard(connection.execute(text('SELECT pg_sleep(60)'), {}, { signal: stop.signal }));
    stop.abort();
    const { state, error } = await statement;
    expect(state).toBe('failed');
    expect(error).toBeInstanceOf(QueryCanceledError);
    await connection.rollback();
    expect(await connection.scalar(ONE)).toBe(1);
  });

  it('that a statement was refused unsent, and goes on', async () => {
    const broken = {
      toJSON: () => {
        throw new TypeError('not now');
      },
    };
    const { state } = await heard(connection.execute(sql`SELECT ${broken}::jsonb`));
    expect(state).toBe(before === undefined ? 'pending' : 'active');
    await connection.execute(insert('ink'));
    await connection.commit();
    expect(await items.names()).toEqual(['ink']);
  });

  it('that a statement was refused because its signal had been aborted, and goes on', async () => {
    const { state } = await heard(connection.execute(ONE, {}, { signal: AbortSignal.abort() }));
    expect(state).toBe(before === undefined ? 'pending' : 'active');
    await connection.execute(insert('ink'));
    await connection.commit();
    expect(await items.names()).toEqual(['ink']);
  });
});

it('rolls back behind a statement that is under way', async () => {
  const transaction = await connection.begin();
  const order: string[] = [];
  const statement = connection.execute(text('SELECT pg_sleep(0.05)')).all();
  const told = statement.then(() => order.push(`statement: ${transaction.state}`));
  await Promise.all([told, transaction.rollback().then(() => order.push('rollback'))]);
  expect(order).toEqual(['statement: active', 'rollback']);
});

it('lets those wait that come while the transaction is opened, also where its first statement fails', async () => {
  const transaction = await connection.begin();
  const statements = [text('SELECT 1 / 0'), ONE, ONE].map((one) => failureOf(connection.execute(one)));
  const [first, ...others] = await Promise.all(statements);
  expect(first).toMatchObject({ sqlState: '22012' });
  for (const other of others) expect(other).toMatchObject({ sqlState: '25P02', cause: first });
  await transaction.rollback();
});

it('ends after statements in parallel of which one has ended the session', async () => {
  const transaction = await connection.begin();
  await connection.execute(ONE);
  const lost = await Promise.all([end, ONE, ONE].map((one) => failureOf(connection.execute(one))));
  for (const failure of lost) expect(failure).toMatchObject({ connectionInvalidated: true });
  await transaction.rollback();
  expect(engine.pool.checkedOut()).toBe(0);
});

it('tells listeners of the pool of a lost session in the async context of the statement', async () => {
  const request = new AsyncLocalStorage<string>();
  const told: (string | undefined)[] = [];
  engine.pool.on('invalidate', () => void told.push(request.getStore()));
  await connection.begin();
  await failureOf(request.run('of the caller', () => connection.execute(end)));
  await connection.rollback();
  expect(told).toEqual(['of the caller']);
});
