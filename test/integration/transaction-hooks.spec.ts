import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { failureOf, hop, insert, LogBook, TransactionWorkshop } from '../support/transaction-workshop.js';

let workshop: TransactionWorkshop;
let engine: AsyncEngine;
let log: LogBook;
let ran: string[];
beforeAll(async () => {
  workshop = await TransactionWorkshop.open('savepoint_hooks');
});
beforeEach(() => {
  log = new LogBook();
  engine = workshop.engine({ logger: log });
  ran = [];
});
afterEach(() => workshop.tidyUp());
afterAll(() => workshop.close());

/** A hook that takes its time and leaves its name. */
const note = (name: string) => async (): Promise<void> => {
  await hop(() => 0.99);
  ran.push(name);
};

function registerAll(prefix = ''): void {
  engine.afterCompletion(note(`${prefix}afterCompletion`));
  engine.afterRollback(note(`${prefix}afterRollback`));
  engine.afterCommit(note(`${prefix}afterCommit`));
  engine.beforeCommit(note(`${prefix}beforeCommit`));
}

describe('the hooks of a savepoint', () => {
  it('are its parent’s once it is released', async () => {
    await engine.transaction(async () => {
      await engine.execute(insert('root'));
      await engine.transaction(async () => {
        registerAll();
        await engine.execute(insert('nested'));
      });
      expect(ran).toEqual([]);
    });
    expect(ran).toEqual(['beforeCommit', 'afterCommit', 'afterCompletion']);
  });

  it('that was rolled back run their afterRollback and no other, and so at once', async () => {
    await engine.transaction(async () => {
      registerAll('root: ');
      await failureOf(
        engine.transaction(async () => {
          registerAll();
          await engine.execute(insert('nested'));
          throw new Error('undo');
        }),
      );
      expect(ran).toEqual(['afterRollback', 'afterCompletion']);
      ran = [];
    });
    expect(ran).toEqual(['root: beforeCommit', 'root: afterCommit', 'root: afterCompletion']);
  });

  it('that was released inside a root that rolls back run their afterRollback then', async () => {
    await failureOf(
      engine.transaction(async () => {
        await engine.transaction(async () => {
          registerAll();
          await engine.execute(insert('nested'));
        });
        throw new Error('undo');
      }),
    );
    expect(ran).toEqual(['afterRollback', 'afterCompletion']);
  });

  it('have no connection left on a pool of 1 while the root keeps it, and are told so at once', async () => {
    await engine.transaction(async () => {
      await engine.execute(insert('root'));
      await failureOf(
        engine.transaction(async () => {
          engine.afterRollback(() => engine.execute(insert('by the hook')));
          await engine.execute(insert('nested'));
          throw new Error('undo');
        }),
      );
    });
    expect(log.errors.join()).toContain('PoolDeadlockError');
    expect(await workshop.names()).toEqual(['root']);
  });

  it('that its root ended are the root’s', async () => {
    await using connection = await engine.connect();
    const root = await connection.begin();
    const nested = await connection.beginNested();
    nested.afterCommit(note('nested'));
    root.afterCommit(note('root'));
    await connection.execute(insert('one'));
    await root.commit();
    await nested.rollback();
    expect(ran).toEqual(['root', 'nested']);
  });
});
