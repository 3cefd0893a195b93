import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from 'pg';
import {
  CommitOutcomeUnknownError,
  ConnectionLostError,
  DBAPIError,
  InternalError,
  PendingRollbackError,
  TransactionEndedError,
  UnexpectedRollbackError,
  UniqueViolationError,
} from 'nest-async-engine/engine';
import type { AsyncConnection, AsyncTransaction, TransactionState } from 'nest-async-engine/engine';
import { NestedTransaction } from '../../../lib/engine/transaction/nested-transaction.js';
import { RootTransaction } from '../../../lib/engine/transaction/root-transaction.js';
import type { Transaction } from '../../../lib/engine/transaction/transaction.js';
import { failureOf, MemoryLogger, outcomeOf, ItemDatabase } from '../../support/items.js';

type Refusal = abstract new (...args: never[]) => Error;
type Kind = 'root' | 'nested';
type Call = 'statement ok' | 'statement fails' | 'commit' | 'rollback' | 'outer ended' | 'connection lost';

interface Cell {
  readonly state: TransactionState;
  readonly call: Call;
  readonly kinds: readonly Kind[];
  readonly becomes: TransactionState;
  readonly throws?: Refusal;
}

const BOTH: readonly Kind[] = ['root', 'nested'];

// The second table of docs/architecture.md, section 4. A root has no outer one.
const CELLS: readonly Cell[] = [
  { state: 'pending', call: 'statement ok', kinds: BOTH, becomes: 'active' },
  { state: 'pending', call: 'statement fails', kinds: BOTH, becomes: 'failed', throws: UniqueViolationError },
  { state: 'pending', call: 'commit', kinds: BOTH, becomes: 'committed' },
  { state: 'pending', call: 'rollback', kinds: BOTH, becomes: 'rolled-back' },
  { state: 'pending', call: 'outer ended', kinds: ['nested'], becomes: 'cancelled' },
  { state: 'pending', call: 'connection lost', kinds: BOTH, becomes: 'cancelled' },
  { state: 'active', call: 'statement ok', kinds: BOTH, becomes: 'active' },
  { state: 'active', call: 'statement fails', kinds: BOTH, becomes: 'failed', throws: UniqueViolationError },
  { state: 'active', call: 'commit', kinds: BOTH, becomes: 'committed' },
  { state: 'active', call: 'rollback', kinds: BOTH, becomes: 'rolled-back' },
  { state: 'active', call: 'outer ended', kinds: ['nested'], becomes: 'cancelled' },
  { state: 'active', call: 'connection lost', kinds: BOTH, becomes: 'cancelled' },
  { state: 'failed', call: 'statement ok', kinds: BOTH, becomes: 'failed', throws: InternalError },
  {
    state: 'failed',
    call: 'commit',
    kinds: ['root'],
    becomes: 'rolled-back',
    throws: UnexpectedRollbackError,
  },
  {
    state: 'failed',
    call: 'commit',
    kinds: ['nested'],
    becomes: 'rolled-back',
    throws: UnexpectedRollbackError,
  },
  { state: 'failed', call: 'rollback', kinds: BOTH, becomes: 'rolled-back' },
  { state: 'failed', call: 'outer ended', kinds: ['nested'], becomes: 'cancelled' },
  { state: 'failed', call: 'connection lost', kinds: BOTH, becomes: 'cancelled' },
  ...(['committed', 'rolled-back', 'cancelled'] as const).flatMap((state): Cell[] => [
    { state, call: 'statement ok', kinds: BOTH, becomes: state, throws: TransactionEndedError },
    { state, call: 'commit', kinds: BOTH, becomes: state, throws: TransactionEndedError },
    { state, call: 'rollback', kinds: BOTH, becomes: state },
    { state, call: 'outer ended', kinds: ['nested'], becomes: state },
    { state, call: 'connection lost', kinds: BOTH, becomes: state },
  ]),
];

let items: ItemDatabase;
beforeAll(async () => {
  items = await ItemDatabase.open('transaction_states');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

/** Statements of one transaction, whatever its connection is in by now. */
class Bench {
  readonly connection: AsyncConnection;
  readonly transaction: AsyncTransaction;
  #made = 0;

  constructor(connection: AsyncConnection, transaction: AsyncTransaction) {
    this.connection = connection;
    this.transaction = transaction;
  }

  async statement(sql = `INSERT INTO item (name) VALUES ('${(this.#made += 1)}')`): Promise<void> {
    const values: readonly unknown[] = [];
    const { host } = this.transaction;
    await this.transaction.execute(async (control) => {
      const session = host as unknown as {
        execute(front: typeof control, command: { text: string; values: typeof values }): Promise<unknown>;
      };
      await session.execute(control, { text: sql, values });
    });
  }

  async duplicate(): Promise<void> {
    await this.statement(`INSERT INTO item (name) VALUES ('there')`);
  }
}

async function benchFor(kind: Kind): Promise<Bench> {
  await items.database.query(`INSERT INTO item (name) VALUES ('there')`);
  const connection = await items.engine({ logger: new MemoryLogger() }).connect();
  const root = await connection.begin();
  return new Bench(connection, kind === 'root' ? root : await connection.beginNested());
}

async function bring(bench: Bench, state: TransactionState, kind: Kind): Promise<void> {
  const { transaction, connection } = bench;
  switch (state) {
    case 'pending':
      return;
    case 'active':
      return await bench.statement();
    case 'failed':
      await failureOf(bench.duplicate());
      return;
    case 'committed':
      return await transaction.commit();
    case 'rolled-back':
      return await transaction.rollback();
    case 'cancelled':
      if (kind === 'nested') return await connection.rollback();
      return connection.invalidate();
    default:
      state satisfies never;
  }
}

async function perform(call: Call, bench: Bench): Promise<void> {
  const { transaction, connection } = bench;
  switch (call) {
    case 'statement ok':
      return await bench.statement();
    case 'statement fails':
      return await bench.duplicate();
    case 'commit':
      return await transaction.commit();
    case 'rollback':
      return await transaction.rollback();
    case 'outer ended':
      return await connection.rollback();
    case 'connection lost':
      return connection.invalidate();
    default:
      call satisfies never;
  }
}

/** A root is cancelled by the loss of its connection only, and then says so. */
function refusalOf({ state, throws }: Cell, kind: Kind): Refusal | undefined {
  return throws !== undefined && state === 'cancelled' && kind === 'root' ? PendingRollbackError : throws;
}

for (const kind of BOTH) {
  describe(`the states of a ${kind} transaction`, () => {
    for (const cell of CELLS.filter(({ kinds }) => kinds.includes(kind))) {
      const { state, call, becomes } = cell;
      const refusal = refusalOf(cell, kind);
      it(`${state}: ${call} makes it ${becomes}${refusal ? ` and throws ${refusal.name}` : ''}`, async () => {
        const bench = await benchFor(kind);
        await bring(bench, state, kind);
        expect(bench.transaction.state).toBe(state);
        expect(await outcomeOf(perform(call, bench))).toBe(refusal);
        expect(bench.transaction.state).toBe(becomes);
        await bench.connection.close();
      });
    }
  });
}

describe('COMMIT of an active root', () => {
  it('that the server answers with ROLLBACK makes it rolled-back and throws UnexpectedRollbackError', async () => {
    const bench = await benchFor('root');
    await bench.statement();
    // Fails behind our back: only the server knows.
    const { driverConnection } = await bench.connection.getRawConnection();
    await failureOf((driverConnection as Client).query('SELECT 1 / 0'));
    expect(bench.transaction.state).toBe('active');
    expect(await outcomeOf(bench.transaction.commit())).toBe(UnexpectedRollbackError);
    expect(bench.transaction.state).toBe('rolled-back');
    expect(bench.connection.state).toBe('open');
    await bench.connection.close();
  });

  it('that a deferred constraint refuses makes it rolled-back and throws that error', async () => {
    const bench = await benchFor('root');
    for (const name of ['one', 'two'])
      await bench.statement(`INSERT INTO item (name, place) VALUES ('${name}', 1)`);
    expect(await outcomeOf(bench.transaction.commit())).toBe(UniqueViolationError);
    expect(bench.transaction.state).toBe('rolled-back');
    expect(bench.connection.state).toBe('open');
    await bench.connection.close();
  });

  it('on a session that has gone unnoticed makes it cancelled and the connection invalidated', async () => {
    const bench = await benchFor('root');
    await bench.statement();
    const [session] = await items.database.sessions();
    const commit = items.database
      .query('SELECT pg_terminate_backend($1, 5000)', [session?.pid])
      .then(() => outcomeOf(bench.transaction.commit()));
    expect([CommitOutcomeUnknownError, ConnectionLostError]).toContain(await commit);
    expect(bench.transaction.state).toBe('cancelled');
    expect(bench.connection.state).toBe('invalidated');
    await bench.connection.close();
  });
});

describe('what the states promise', () => {
  it('a 25P02 has the first failed statement as its cause', async () => {
    const bench = await benchFor('root');
    const first = await failureOf(bench.duplicate());
    const second = await failureOf(bench.statement());
    expect((second as DBAPIError).sqlState).toBe('25P02');
    expect((second as DBAPIError).cause).toBe(first);
    await bench.connection.close();
  });

  it('after a refused BEGIN nothing is sent: it would commit itself', async () => {
    const sent: string[] = [];
    const host = {
      server: undefined,
      ready: () => Promise.resolve(),
      lend: () => Promise.reject(new Error('nothing is lent')),
      command: () => Promise.reject(new Error('nothing is sent')),
      rollbackTo: () => Promise.reject(new Error('nothing is sent')),
      commandMark: 0,
      observer: undefined,
      defer: () => undefined,
      nextSavepoint: () => 'never',
      invalidate: () => undefined,
      detach: () => Promise.resolve(),
      engine: {
        nestedWaitTimeout: 1_000,
        runWithoutTransaction: <T>(work: () => T): T => work(),
        inside: <T>(_transaction: object, work: () => Promise<T>): Promise<T> => work(),
        report: () => undefined,
        warn: () => undefined,
      },
      inquiry: () => undefined,
      noteFailure: () => undefined,
    } as const;
    const root = new RootTransaction({ connection: 'none', session: host });
    const refusal = new InternalError('cannot set transaction read-write mode during recovery', {
      sqlState: '25006',
    });
    expect(await failureOf(root.execute(() => Promise.reject(refusal)))).toBe(refusal);
    const send = async (): Promise<void> => void sent.push('statement');
    const failing = async (transaction: Transaction): Promise<void> => await transaction.execute(send);
    const later = await failureOf(failing(root));
    const nested = await failureOf(failing(new NestedTransaction(root)));
    expect(sent).toEqual([]);
    expect([later, nested].map((error) => (error as DBAPIError).cause)).toEqual([refusal, refusal]);
    expect(await failureOf(root.commit())).toBeInstanceOf(UnexpectedRollbackError);
  });
});
