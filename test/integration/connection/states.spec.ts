import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type AsyncConnection,
  IllegalStateError,
  NotStartedError,
  PendingRollbackError,
  ResourceClosedError,
} from 'nest-async-engine/engine';
import type { AsyncEngine, ConnectionState } from 'nest-async-engine/engine';
import { makeConnection } from '../../../lib/engine/connection/connection.js';
import type { ConnectionMode } from '../../../lib/engine/connection/connection-host.js';
import { failureOf, insert, MemoryLogger, outcomeOf, ItemDatabase } from '../../support/items.js';

type Refusal = abstract new (...args: never[]) => Error;

interface Cell {
  readonly mode: ConnectionMode;
  readonly state: ConnectionState;
  /** What is attached before the call. */
  readonly transaction: 'none' | 'attached';
  readonly call: 'execute' | 'begin' | 'invalidate' | 'close';
  readonly becomes: ConnectionState | Refusal;
}

// The first table of docs/architecture.md, section 4.
const CELLS: readonly Cell[] = [
  { mode: 'explicit', state: 'unstarted', transaction: 'none', call: 'execute', becomes: NotStartedError },
  { mode: 'explicit', state: 'unstarted', transaction: 'none', call: 'begin', becomes: NotStartedError },
  { mode: 'explicit', state: 'unstarted', transaction: 'none', call: 'invalidate', becomes: NotStartedError },
  { mode: 'explicit', state: 'unstarted', transaction: 'none', call: 'close', becomes: 'closed' },
  { mode: 'scoped', state: 'unstarted', transaction: 'none', call: 'execute', becomes: 'open' },
  { mode: 'scoped', state: 'unstarted', transaction: 'none', call: 'begin', becomes: 'open' },
  { mode: 'scoped', state: 'unstarted', transaction: 'none', call: 'invalidate', becomes: NotStartedError },
  { mode: 'scoped', state: 'unstarted', transaction: 'none', call: 'close', becomes: 'closed' },
  { mode: 'transaction', state: 'unstarted', transaction: 'none', call: 'execute', becomes: 'open' },
  { mode: 'transaction', state: 'unstarted', transaction: 'none', call: 'begin', becomes: 'open' },
  {
    mode: 'transaction',
    state: 'unstarted',
    transaction: 'none',
    call: 'invalidate',
    becomes: NotStartedError,
  },
  { mode: 'transaction', state: 'unstarted', transaction: 'none', call: 'close', becomes: 'closed' },
  { mode: 'explicit', state: 'open', transaction: 'none', call: 'execute', becomes: 'open' },
  { mode: 'explicit', state: 'open', transaction: 'none', call: 'begin', becomes: 'open' },
  { mode: 'explicit', state: 'open', transaction: 'none', call: 'invalidate', becomes: 'invalidated' },
  { mode: 'explicit', state: 'open', transaction: 'none', call: 'close', becomes: 'closed' },
  { mode: 'explicit', state: 'open', transaction: 'attached', call: 'execute', becomes: 'open' },
  { mode: 'explicit', state: 'open', transaction: 'attached', call: 'begin', becomes: IllegalStateError },
  { mode: 'explicit', state: 'open', transaction: 'attached', call: 'invalidate', becomes: 'invalidated' },
  { mode: 'explicit', state: 'open', transaction: 'attached', call: 'close', becomes: 'closed' },
  { mode: 'explicit', state: 'invalidated', transaction: 'none', call: 'execute', becomes: 'open' },
  { mode: 'explicit', state: 'invalidated', transaction: 'none', call: 'begin', becomes: 'open' },
  { mode: 'explicit', state: 'invalidated', transaction: 'none', call: 'invalidate', becomes: 'invalidated' },
  { mode: 'explicit', state: 'invalidated', transaction: 'none', call: 'close', becomes: 'closed' },
  {
    mode: 'explicit',
    state: 'invalidated',
    transaction: 'attached',
    call: 'execute',
    becomes: PendingRollbackError,
  },
  {
    mode: 'explicit',
    state: 'invalidated',
    transaction: 'attached',
    call: 'begin',
    becomes: PendingRollbackError,
  },
  {
    mode: 'explicit',
    state: 'invalidated',
    transaction: 'attached',
    call: 'invalidate',
    becomes: 'invalidated',
  },
  { mode: 'explicit', state: 'invalidated', transaction: 'attached', call: 'close', becomes: 'closed' },
  { mode: 'explicit', state: 'closed', transaction: 'none', call: 'execute', becomes: ResourceClosedError },
  { mode: 'explicit', state: 'closed', transaction: 'none', call: 'begin', becomes: ResourceClosedError },
  {
    mode: 'explicit',
    state: 'closed',
    transaction: 'none',
    call: 'invalidate',
    becomes: ResourceClosedError,
  },
  { mode: 'explicit', state: 'closed', transaction: 'none', call: 'close', becomes: 'closed' },
];

let items: ItemDatabase;
beforeAll(async () => {
  items = await ItemDatabase.open('connection');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

async function connectionIn(cell: Cell, engine: AsyncEngine): Promise<AsyncConnection> {
  const connection = makeConnection(engine.host, { mode: cell.mode });
  if (cell.state === 'unstarted') return connection;
  await connection.start();
  if (cell.transaction === 'attached') await connection.execute(insert('before'));
  if (cell.state === 'invalidated') connection.invalidate();
  if (cell.state === 'closed') await connection.close();
  return connection;
}

async function perform({ call }: Cell, connection: AsyncConnection): Promise<void> {
  switch (call) {
    case 'execute':
      await connection.execute(insert('now'));
      return;
    case 'begin':
      // Nothing is sent by begin() alone.
      await connection.begin();
      await connection.execute(insert('now'));
      return;
    case 'invalidate':
      return connection.invalidate();
    case 'close':
      return await connection.close();
    default:
      call satisfies never;
  }
}

describe('the states of an AsyncConnection', () => {
  for (const cell of CELLS) {
    const { mode, state, transaction, call, becomes } = cell;
    const outcome = typeof becomes === 'string' ? `is ${becomes}` : `refuses with ${becomes.name}`;
    it(`${mode}, ${state}, transaction ${transaction}: ${call} ${outcome}`, async () => {
      const connection = await connectionIn(cell, items.engine({ logger: new MemoryLogger() }));
      expect(connection.state).toBe(state);
      const [after, refusal] = typeof becomes === 'string' ? [becomes, undefined] : [state, becomes];
      expect(await outcomeOf(perform(cell, connection))).toBe(refusal);
      expect(connection.state).toBe(after);
      await connection.close();
      expect(await items.names()).toEqual([]);
    });
  }

  it('takes another connection after an invalidated one was rolled back', async () => {
    const engine = items.engine();
    await using connection = await engine.connect();
    await connection.execute(insert('lost'));
    connection.invalidate();
    await connection.rollback();
    await connection.execute(insert('kept'));
    await connection.commit();
    expect(await items.names()).toEqual(['kept']);
  });
});

describe('an AsyncConnection', () => {
  it('sends nothing for begin() and commit() alone', async () => {
    await using connection = await items.engine().connect();
    const transaction = await connection.begin();
    await transaction.commit();
    expect((await items.database.sessions()).map(({ xact_start }) => xact_start)).toEqual([null]);
    expect(transaction.state).toBe('committed');
  });

  it('commits nothing by itself', async () => {
    const engine = items.engine();
    await engine.connect(async (connection) => {
      await connection.execute(insert('forgotten'));
    });
    expect(await items.names()).toEqual([]);
  });

  it('commits as it goes', async () => {
    const engine = items.engine();
    await engine.connect(async (connection) => {
      await connection.execute(insert('one'));
      await connection.commit();
      await connection.execute(insert('two'));
      await connection.rollback();
      await connection.execute(insert('three'));
      await connection.commit();
    });
    expect(await items.names()).toEqual(['one', 'three']);
  });

  it('gives the same transaction object every time', async () => {
    await using connection = await items.engine().connect();
    const root = await connection.begin();
    const nested = await connection.beginNested();
    expect(connection.getTransaction()).toBe(root);
    expect(connection.getNestedTransaction()).toBe(nested);
  });

  it('refuses statements in a block whose transaction has ended, and answers questions', async () => {
    await using connection = await items.engine().connect();
    await connection.begin(async (transaction) => {
      await connection.execute(insert('stored'));
      await transaction.commit();
      expect(await failureOf(connection.execute(insert('late')))).toBeInstanceOf(Error);
      expect(await failureOf(connection.begin())).toBeInstanceOf(Error);
      expect(await failureOf(connection.beginNested())).toBeInstanceOf(Error);
      expect(connection.inTransaction()).toBe(false);
      expect(connection.inNestedTransaction()).toBe(false);
    });
    expect(await items.names()).toEqual(['stored']);
  });

  it('holds the guard of an ended nested block until that block is left', async () => {
    await using connection = await items.engine().connect();
    await connection.begin(async () => {
      await connection.beginNested(async (nested) => {
        await connection.execute(insert('undone'));
        await nested.rollback();
        expect(await failureOf(connection.execute(insert('late')))).toBeInstanceOf(Error);
      });
      await connection.execute(insert('after'));
    });
    expect(await items.names()).toEqual(['after']);
  });

  it('refuses another isolation level inside a transaction and takes it between two', async () => {
    await using connection = await items.engine().connect();
    await connection.execute(insert('one'));
    const refusal = await failureOf(connection.executionOptions({ isolationLevel: 'SERIALIZABLE' }));
    expect(refusal).toBeInstanceOf(IllegalStateError);
    await connection.commit();
    await connection.executionOptions({ isolationLevel: 'SERIALIZABLE' });
    expect(await connection.scalar({ text: 'SHOW transaction_isolation' })).toBe('serializable');
  });

  it('commits each statement by itself at AUTOCOMMIT, and a stream that it begins with that stream', async () => {
    const engine = items.engine({ isolationLevel: 'AUTOCOMMIT' });
    await engine.connect(async (connection) => {
      await connection.execute(insert('one'));
      expect(await items.names()).toEqual(['one']);
      expect(await connection.stream({ text: 'SELECT name FROM item' }).all()).toEqual([{ name: 'one' }]);
      await connection.execute(insert('two'));
      expect(await items.names()).toEqual(['one', 'two']);
    });
  });
});
