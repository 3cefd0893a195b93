import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { HookJournal } from '../../support/doubles/hook-journal.js';
import { failureOf, insert, MemoryLogger, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
let log: MemoryLogger;
let journal: HookJournal;
beforeAll(async () => {
  items = await ItemDatabase.open('savepoint_hooks');
});
beforeEach(() => {
  log = new MemoryLogger();
  engine = items.engine({ logger: log });
  journal = new HookJournal();
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

describe('the hooks of a savepoint', () => {
  it('are its parent’s once it is released', async () => {
    await engine.transaction(async () => {
      await engine.execute(insert('root'));
      await engine.transaction(async () => {
        journal.registerAll(engine);
        await engine.execute(insert('nested'));
      });
      expect(journal.ran).toEqual([]);
    });
    expect(journal.ran).toEqual(['beforeCommit', 'afterCommit', 'afterCompletion']);
  });

  it('that was rolled back run their afterRollback and no other, and so at once', async () => {
    await engine.transaction(async () => {
      journal.registerAll(engine, 'root: ');
      await failureOf(
        engine.transaction(async () => {
          journal.registerAll(engine);
          await engine.execute(insert('nested'));
          throw new Error('undo');
        }),
      );
      expect(journal.ran).toEqual(['afterRollback', 'afterCompletion']);
      journal.ran.splice(0);
    });
    expect(journal.ran).toEqual(['root: beforeCommit', 'root: afterCommit', 'root: afterCompletion']);
  });

  it('that was released inside a root that rolls back run their afterRollback then', async () => {
    await failureOf(
      engine.transaction(async () => {
        await engine.transaction(async () => {
          journal.registerAll(engine);
          await engine.execute(insert('nested'));
        });
        throw new Error('undo');
      }),
    );
    expect(journal.ran).toEqual(['afterRollback', 'afterCompletion']);
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
    expect(await items.names()).toEqual(['root']);
  });

  it('that its root ended are the root’s', async () => {
    await using connection = await engine.connect();
    const root = await connection.begin();
    const nested = await connection.beginNested();
    nested.afterCommit(journal.note('nested'));
    root.afterCommit(journal.note('root'));
    await connection.execute(insert('one'));
    await root.commit();
    await nested.rollback();
    expect(journal.ran).toEqual(['root', 'nested']);
  });
});
