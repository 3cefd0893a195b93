import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  AfterCommitError,
  CommitOutcomeUnknownError,
  TransactionTimeoutError,
} from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { Latch } from '../../support/process/barrier.js';
import { startFaultyProxy } from '../../support/server/faulty-proxy.js';
import { HookJournal } from '../../support/doubles/hook-journal.js';
import { failureOf, randomTurns, insert, MemoryLogger, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
let log: MemoryLogger;
let journal: HookJournal;
beforeAll(async () => {
  items = await ItemDatabase.open('hooks');
});
beforeEach(() => {
  log = new MemoryLogger();
  engine = items.engine({ logger: log });
  journal = new HookJournal();
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

describe('the hooks of a transaction', () => {
  it('are awaited, in order, after a commit', async () => {
    await engine.transaction(async () => {
      journal.registerAll(engine);
      engine.afterCommit(journal.note('second afterCommit'));
      await engine.execute(insert('one'));
    });
    expect(journal.ran).toEqual(['beforeCommit', 'afterCommit', 'second afterCommit', 'afterCompletion']);
  });

  it('are awaited, in order, after a rollback', async () => {
    await failureOf(
      engine.transaction(async () => {
        journal.registerAll(engine);
        await engine.execute(insert('one'));
        throw new Error('undo');
      }),
    );
    expect(journal.ran).toEqual(['afterRollback', 'afterCompletion']);
  });

  it('run for a transaction in which no statement ran', async () => {
    await engine.transaction(() => journal.registerAll(engine));
    expect(journal.ran).toEqual(['beforeCommit', 'afterCommit', 'afterCompletion']);
  });

  it.each(['afterCommit', 'afterRollback', 'afterCompletion'] as const)(
    'hold nobody else where one hangs: %s',
    async (event) => {
      const hung = new Latch();
      const reached = new Latch();
      const held = engine
        .transaction(async () => {
          engine[event](async () => {
            reached.open();
            await hung.opened;
          });
          await engine.execute(insert('one'));
          if (event !== 'afterCommit') throw new RangeError('undo');
        })
        .catch(() => undefined);
      await reached.opened;
      expect(engine.pool.checkedOut()).toBe(0);
      await engine.transaction(() => engine.execute(insert('two')));
      expect(await items.names()).toContain('two');
      hung.open();
      await held;
    },
  );

  it('may be many: each is kept until its transaction ends, and called once', async () => {
    let calls = 0;
    await engine.transaction(() => {
      for (let count = 0; count < 50_000; count += 1) engine.afterCommit(() => void (calls += 1));
    });
    expect(calls).toBe(50_000);
  });

  it('run once, whatever is called afterwards', async () => {
    await using connection = await engine.connect();
    const transaction = await connection.begin();
    transaction.afterRollback(journal.note('afterRollback'));
    transaction.afterCommit(journal.note('afterCommit'));
    await connection.execute(insert('one'));
    await transaction.commit();
    await transaction.rollback();
    await transaction.close();
    expect(journal.ran).toEqual(['afterCommit']);
  });

  it('afterRollback runs when the connection was lost', async () => {
    await failureOf(
      engine.transaction(async () => {
        journal.registerAll(engine);
        await engine.execute(insert('one'));
        engine.currentConnection().invalidate();
        await engine.execute(insert('two'));
      }),
    );
    expect(journal.ran).toEqual(['afterRollback', 'afterCompletion']);
  });

  it('only afterCompletion runs when nobody knows the outcome of COMMIT', async () => {
    await using proxy = await startFaultyProxy(items.database.url);
    const faulty = items.engine({ logger: log }, proxy.url);
    void proxy.holdWhen(({ from, text }) => from === 'client' && text === 'COMMIT').then(() => proxy.cut());
    const failure = await failureOf(
      faulty.transaction(async () => {
        faulty.afterCommit(journal.note('afterCommit'));
        faulty.afterRollback(journal.note('afterRollback'));
        faulty.afterCompletion(journal.note('afterCompletion'));
        await faulty.execute(insert('one'));
      }),
    );
    expect(failure).toBeInstanceOf(CommitOutcomeUnknownError);
    expect(journal.ran).toEqual(['afterCompletion']);
    await faulty.dispose();
  });
});

describe('beforeCommit', () => {
  it('may write', async () => {
    await engine.transaction(async () => {
      await engine.execute(insert('one'));
      engine.beforeCommit(() => engine.execute(insert('by the hook')));
      engine.beforeCommit(() =>
        engine.transaction(() => engine.execute(insert('by a savepoint of the hook'))),
      );
    });
    expect(await items.names()).toEqual(['by a savepoint of the hook', 'by the hook', 'one']);
  });

  it('may register another one', async () => {
    await engine.transaction(() => engine.beforeCommit(() => engine.beforeCommit(journal.note('second'))));
    expect(journal.ran).toEqual(['second']);
  });

  it('that registers itself again vetoes, and does not run for ever', async () => {
    const again = (): void => engine.beforeCommit(again);
    const work = engine.transaction(async () => {
      await engine.execute(insert('one'));
      engine.beforeCommit(again);
    });
    await expect(work).rejects.toThrow(/100000 hooks .* does a beforeCommit hook register itself\?/s);
    expect(await items.names()).toEqual([]);
  });

  for (const form of ['transaction()', 'a handle'] as const) {
    it(`that never ends is ended by the timeout of the transaction (${form})`, async () => {
      const never = (): Promise<void> => new Promise(() => undefined);
      const work = async (): Promise<void> => {
        if (form === 'transaction()') {
          return await engine.transaction(
            async () => {
              await engine.execute(insert('one'));
              engine.beforeCommit(never);
            },
            { timeout: 100 },
          );
        }
        await using connection = await engine.connect();
        const transaction = await connection.begin({ timeout: 100 });
        await connection.execute(insert('one'));
        transaction.beforeCommit(never);
        await transaction.commit();
      };
      await expect(work()).rejects.toBeInstanceOf(TransactionTimeoutError);
      expect(await items.names()).toEqual([]);
    });
  }

  for (const form of ['transaction()', 'a handle', 'begin(work)', 'scope()'] as const) {
    it(`may veto: nothing is stored and nothing is kept (${form})`, async () => {
      const veto = (): never => {
        throw new Error('veto');
      };
      await expect(runVetoed(form, veto)).rejects.toThrow('veto');
      expect(await items.names()).toEqual([]);
      expect(journal.ran).toEqual(['afterRollback']);
      expect(engine.pool.checkedOut()).toBe(0);
    });
  }

  async function runVetoed(form: string, veto: () => never): Promise<void> {
    if (form === 'transaction()' || form === 'scope()') {
      const work = async (): Promise<void> => {
        if (form === 'scope()') engine.currentConnection();
        engine.afterRollback(journal.note('afterRollback'));
        engine.beforeCommit(veto);
        await engine.execute(insert('one'));
      };
      return await (form === 'scope()' ? engine.scope(work) : engine.transaction(work));
    }
    await using connection = await engine.connect();
    if (form === 'begin(work)') {
      return await connection.begin(async (transaction) => {
        transaction.afterRollback(journal.note('afterRollback'));
        transaction.beforeCommit(veto);
        await connection.execute(insert('one'));
      });
    }
    const transaction = await connection.begin();
    transaction.afterRollback(journal.note('afterRollback'));
    transaction.beforeCommit(veto);
    await connection.execute(insert('one'));
    return await transaction.commit();
  }
});

describe('afterCommit', () => {
  it('runs with no active transaction and the connection back in a pool of 1', async () => {
    await engine.transaction(async () => {
      await engine.execute(insert('one'));
      engine.afterCommit(async () => {
        expect(engine.pool.checkedOut()).toBe(0);
        expect(engine.tryCurrentConnection()).toBeUndefined();
        await engine.execute(insert('by the hook'));
        await failureOf(
          engine.transaction(async () => {
            await engine.execute(insert('by a root of the hook'));
            throw new Error('undo');
          }),
        );
        journal.ran.push(...(await items.names()));
      });
    });
    expect(journal.ran).toEqual(['by the hook', 'one']);
  });

  it('of a scope that is one transaction finds the connection back in a pool of 1 as well', async () => {
    await engine.scope(async () => {
      await engine.currentConnection().execute(insert('unit'));
      engine.afterCommit(async () => {
        await engine.execute(insert('by the engine'));
        await engine.currentConnection().execute(insert('by the handle'));
        await engine.transaction(() => engine.execute(insert('by a root')));
      });
    });
    expect(await items.names()).toEqual(['by a root', 'by the engine', 'by the handle', 'unit']);
  });

  it('that fails is an AfterCommitError; the data is stored and the other hooks run', async () => {
    const reason = new Error('mail server');
    const failure = await failureOf(
      engine.transaction(async () => {
        await engine.execute(insert('one'));
        engine.afterCommit(() => Promise.reject(reason));
        engine.afterCommit(journal.note('second'));
        engine.afterCompletion(journal.note('completion'));
      }),
    );
    expect(failure).toBeInstanceOf(AfterCommitError);
    expect((failure as Error).cause).toBe(reason);
    expect(journal.ran).toEqual(['second', 'completion']);
    expect(await items.names()).toEqual(['one']);
  });

  it('outside a transaction runs at once, and the other hooks do nothing', async () => {
    const done = new Latch();
    journal.registerAll(engine);
    engine.afterCommit(() => done.open());
    await done.opened;
    await randomTurns(() => 0.99, 10);
    expect(journal.ran).toEqual(['afterCommit']);
  });

  it('does not run when COMMIT is refused', async () => {
    await failureOf(
      engine.transaction(async () => {
        journal.registerAll(engine);
        await engine.execute({ text: `INSERT INTO item (name, place) VALUES ('a', 1), ('b', 1)` });
      }),
    );
    expect(journal.ran).toEqual(['beforeCommit', 'afterRollback', 'afterCompletion']);
  });
});

describe('a hook that fails behind another error', () => {
  it('is logged, and the first error is thrown', async () => {
    await expect(
      engine.transaction(() => {
        engine.afterRollback(() => Promise.reject(new Error('hook')));
        throw new Error('the reason');
      }),
    ).rejects.toThrow('the reason');
    expect(log.errors.join()).toContain('hook');
  });
});
