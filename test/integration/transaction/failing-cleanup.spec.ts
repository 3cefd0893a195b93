import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  CommitOutcomeUnknownError,
  ConnectionLostError,
  PendingRollbackError,
} from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { startFaultyProxy } from '../../support/server/faulty-proxy.js';
import type { FaultyProxy } from '../../support/server/faulty-proxy.js';
import { failureOf, insert, MemoryLogger, ItemDatabase } from '../../support/items.js';
import { FAULTS, failOnTheWire } from '../../support/server/wire-fault.js';
import type { Fault } from '../../support/server/wire-fault.js';

let items: ItemDatabase;
let proxy: FaultyProxy;
let engine: AsyncEngine;
let log: MemoryLogger;
beforeAll(async () => {
  items = await ItemDatabase.open('cleanup');
});
beforeEach(async () => {
  proxy = await startFaultyProxy(items.database.url);
  log = new MemoryLogger();
  engine = items.engine({ logger: log }, proxy.url);
});
afterEach(async () => {
  await items.expectClean();
  await proxy.close();
});
afterAll(() => items.close());

const failAt = (sql: string, fault: Fault): Promise<void> => failOnTheWire(items, proxy, sql, fault);

/** The next borrower has a session in order, sees nothing of the one before, and stores its own row. */
async function expectCleanPool(rows: readonly string[]): Promise<void> {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.transaction(() => engine.execute(insert('next borrower')));
  expect(await items.names()).toEqual([...rows, 'next borrower'].toSorted());
}

for (const fault of FAULTS) {
  describe(`when ${fault}`, () => {
    it('at ROLLBACK: the error of the work survives', async () => {
      const failed = failAt('ROLLBACK', fault);
      await expect(
        engine.transaction(async () => {
          await engine.execute(insert('undone'));
          throw new Error('the reason');
        }),
      ).rejects.toThrow('the reason');
      await failed;
      expect(log.errors.join()).toContain('ConnectionLostError');
      await expectCleanPool([]);
    });

    it('at ROLLBACK of begin(work) and of close(): the same', async () => {
      const failed = failAt('ROLLBACK', fault);
      await expect(
        engine.begin(async (connection) => {
          await connection.execute(insert('undone'));
          throw new Error('the reason');
        }),
      ).rejects.toThrow('the reason');
      await failed;
      const again = failAt('ROLLBACK', fault);
      const connection = await engine.connect();
      await connection.execute(insert('undone'));
      await connection.close();
      await again;
      await expectCleanPool([]);
    });

    it('at the ROLLBACK of `await using`: the error of the block survives', async () => {
      const failed = failAt('ROLLBACK', fault);
      const block = async (): Promise<void> => {
        await using connection = await engine.connect();
        await using transaction = await connection.begin();
        await connection.execute(insert('undone'));
        throw new Error(`the reason in ${transaction.state}`);
      };
      await expect(block()).rejects.toThrow('the reason in active');
      await failed;
      await expectCleanPool([]);
    });

    it('at ROLLBACK TO: the nested error survives, the outer transaction is dead and says so', async () => {
      const failed = failAt('ROLLBACK TO', fault);
      let inner: unknown;
      const outer = await failureOf(
        engine.transaction(async () => {
          await engine.execute(insert('outer'));
          inner = await failureOf(
            engine.transaction(async () => {
              await engine.execute(insert('nested'));
              throw new Error('the reason');
            }),
          );
          await engine.execute(insert('after'));
        }),
      );
      await failed;
      expect(String(inner)).toContain('the reason');
      expect(outer).toBeInstanceOf(PendingRollbackError);
      expect((outer as Error).cause).toBeInstanceOf(ConnectionLostError);
      await expectCleanPool([]);
    });

    it('at ROLLBACK TO, and the outer one asks for nothing more: its commit says so', async () => {
      const failed = failAt('ROLLBACK TO', fault);
      const outer = await failureOf(
        engine.transaction(async () => {
          await engine.execute(insert('outer'));
          await failureOf(
            engine.transaction(async () => {
              await engine.execute(insert('nested'));
              throw new Error('the reason');
            }),
          );
        }),
      );
      await failed;
      expect(outer).toBeInstanceOf(PendingRollbackError);
      await expectCleanPool([]);
    });

    it('at RELEASE: the statement that it travels with fails', async () => {
      const failed = failAt('RELEASE', fault);
      const outer = await failureOf(
        engine.transaction(async () => {
          await engine.execute(insert('outer'));
          await engine.transaction(() => engine.execute(insert('nested')));
          await engine.execute(insert('after'));
        }),
      );
      await failed;
      expect(outer).toBeInstanceOf(ConnectionLostError);
      await expectCleanPool([]);
    });

    it('at COMMIT: nobody knows, and nothing is kept', async () => {
      const failed = failAt('COMMIT', fault);
      const failure = await failureOf(engine.transaction(() => engine.execute(insert('unknown'))));
      await failed;
      expect(failure).toBeInstanceOf(CommitOutcomeUnknownError);
      expect((failure as Error).cause).toBeInstanceOf(ConnectionLostError);
      await expectCleanPool([]);
    });

    it('at SAVEPOINT: the nested transaction and its root are lost', async () => {
      const failed = failAt('SAVEPOINT', fault);
      const failure = await failureOf(
        engine.transaction(async () => {
          await engine.execute(insert('outer'));
          await engine.transaction(() => engine.execute(insert('nested')));
        }),
      );
      await failed;
      expect(failure).toBeInstanceOf(ConnectionLostError);
      await expectCleanPool([]);
    });

    it('at BEGIN: the first statement fails', async () => {
      const failed = failAt('BEGIN', fault);
      const failure = await failureOf(engine.transaction(() => engine.execute(insert('lost'))));
      await failed;
      expect(failure).toBeInstanceOf(ConnectionLostError);
      await expectCleanPool([]);
    });

    it('at COMMIT of a scope: the same, and the scope has ended', async () => {
      const failed = failAt('COMMIT', fault);
      const failure = await failureOf(
        engine.scope(async () => {
          await engine.currentConnection().execute(insert('unknown'));
        }),
      );
      await failed;
      expect(failure).toBeInstanceOf(CommitOutcomeUnknownError);
      await expectCleanPool([]);
    });

    it('inside a stream: the stream fails, and nothing is kept', async () => {
      const failed = failAt('SELECT', fault);
      const failure = await failureOf(engine.stream({ text: 'SELECT 1 AS one' }).all());
      await failed;
      expect(failure).toBeInstanceOf(ConnectionLostError);
      await expectCleanPool([]);
    });
  });
}

describe('the COMMIT whose answer is lost', () => {
  it('has stored the data although nobody knows', async () => {
    void proxy.holdWhen(({ from, text }) => from === 'server' && text === 'COMMIT').then(() => proxy.cut());
    const failure = await failureOf(
      engine.transaction(() => engine.execute(insert('stored')), {
        retry: 3,
      }),
    );
    expect(failure).toBeInstanceOf(CommitOutcomeUnknownError);
    await expectCleanPool(['stored']);
  });
});
