import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ScopeEndedError, text, TransactionEndedError } from 'nest-async-engine/engine';
import type { AsyncEngine, Scope } from 'nest-async-engine/engine';
import { Latch } from '../../support/process/barrier.js';
import { failureOf, insert, MemoryLogger, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('unit');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

/** A scope as a request has one: open beside its handler, until `work` has ended. */
async function inScope(work: (scope: Scope) => Promise<void>): Promise<void> {
  engine = items.engine({ poolSize: 2, logger: new MemoryLogger() });
  const scope = engine.openScope({ label: 'GET /transfer' });
  const lease = scope.lease();
  try {
    await scope.run(() => work(scope));
  } finally {
    await lease.release();
  }
}

/** A run of the handler that uses the scope's connection and leaves `late` running. */
function leaving(scope: Scope, over: Latch, late: () => PromiseLike<unknown>): Promise<unknown> {
  const unit = scope.openUnit();
  return unit.run(async () => {
    await engine.currentConnection().execute(insert('in time'));
    return { outcome: over.opened.then(late) };
  });
}

describe('late work of a unit', () => {
  const entries: Record<string, (scope: Scope) => PromiseLike<unknown>> = {
    'engine.execute()': () => engine.execute(insert('late')),
    'engine.transaction()': () => engine.transaction(() => engine.execute(insert('late'))),
    "the scope's connection": (scope) => scope.connection.execute(insert('late')),
    "begin() of the scope's connection": (scope) =>
      scope.connection.begin(() => engine.execute(insert('late'))),
    'a savepoint': (scope) => scope.connection.beginNested(() => engine.execute(insert('late'))),
    'a scoped handle': () => engine.scopedConnection().execute(insert('late')),
    'engine.stream()': () => engine.stream(text('SELECT 1')).all(),
  };
  for (const [name, late] of Object.entries(entries)) {
    for (const end of ['fail', 'complete'] as const) {
      it(`through ${name} is refused after ${end}(), while the scope is open`, async () => {
        await inScope(async (scope) => {
          const over = new Latch();
          const left = (await leaving(scope, over, () => late(scope))) as { outcome: Promise<unknown> };
          await scope.openUnit()[end]();
          over.open();
          const failure = await failureOf(left.outcome);
          expect(failure).toBeInstanceOf(TransactionEndedError);
          expect(String(failure)).toContain('GET /transfer');
        });
        expect(await items.names()).toEqual(end === 'fail' ? [] : ['in time']);
      });
    }
  }

  it('commits itself where the unit had no transaction, also after the scope has ended', async () => {
    const over = new Latch();
    let left: Promise<unknown> | undefined;
    await inScope(async (scope) => {
      const unit = scope.openUnit();
      await unit.run(async () => {
        await engine.execute(insert('alone'));
        left = over.opened.then(async () => {
          await engine.execute(insert('poll'));
          await engine.transaction(() => engine.execute(insert('timer')));
          return await engine.stream(text('SELECT 1')).all();
        });
      });
      await unit.complete();
    });
    over.open();
    await left;
    expect(await items.names()).toEqual(['alone', 'poll', 'timer']);
  });

  it('asks for no connection of a scope that has ended, whatever it was', async () => {
    let scope: Scope | undefined;
    await inScope((opened) => Promise.resolve(void (scope = opened)));
    expect(() => scope?.connection).toThrow(ScopeEndedError);
    expect(() => scope?.openUnit()).toThrow(ScopeEndedError);
  });
});

describe('work beside a unit', () => {
  it('commits itself once the unit has ended', async () => {
    await inScope(async (scope) => {
      const unit = scope.openUnit();
      await unit.run(() => engine.currentConnection().execute(insert('undone')));
      await unit.fail();
      await scope.connection.execute(insert('audit'));
      await engine.execute(insert('second audit'));
    });
    expect(await items.names()).toEqual(['audit', 'second audit']);
  });

  it('commits itself also where options that are asked late name an isolation level', async () => {
    engine = items.engine();
    const scope = engine.openScope({ connection: () => ({ isolationLevel: 'SERIALIZABLE' }) });
    const lease = scope.lease();
    scope.run(() => engine.currentConnection());
    await scope.fail();
    await scope.connection.execute(insert('audit'));
    await lease.release();
    expect(await items.names()).toEqual(['audit']);
  });
});

describe('a second unit of one scope', () => {
  it('has a transaction of its own, and what failed runs wrote is undone', async () => {
    await inScope(async (scope) => {
      for (const run of ['one', 'two']) {
        const unit = scope.openUnit();
        await unit.run(() => engine.currentConnection().execute(insert(run)));
        await unit.fail();
      }
      const third = scope.openUnit();
      await third.run(() => engine.execute(insert('three')));
      expect(await items.names()).toEqual([]);
      await third.complete();
    });
    expect(await items.names()).toEqual(['three']);
  });

  it('is the same one while it is open', async () => {
    await inScope((scope) => Promise.resolve(expect(scope.openUnit()).toBe(scope.openUnit())));
  });

  it('refuses what the first one left running', async () => {
    await inScope(async (scope) => {
      const over = new Latch();
      const left = (await leaving(scope, over, () => scope.connection.execute(insert('late')))) as {
        outcome: Promise<unknown>;
      };
      await scope.openUnit().fail();
      const second = scope.openUnit();
      over.open();
      expect(await failureOf(left.outcome)).toBeInstanceOf(TransactionEndedError);
      await second.run(() => scope.connection.execute(insert('second')));
      await second.complete();
    });
    expect(await items.names()).toEqual(['second']);
  });
});
