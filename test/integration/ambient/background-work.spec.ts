import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ResourceClosedError, ScopeEndedError, TransactionEndedError } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { Latch } from '../../support/process/barrier.js';
import { failureOf, insert, ItemDatabase, outcomeOf } from '../../support/items.js';

// What docs/guide/background-work.md says, in its order.
let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('background');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const add = (name: string): Promise<unknown> => engine.execute(insert(name)).then(() => undefined);

/** Runs `around`, which leaves work running, and gives the error that its statement fails with then. */
async function leftBy(around: (work: () => void) => Promise<unknown>): Promise<unknown> {
  const over = new Latch();
  let outcome: Promise<unknown> | undefined;
  await outcomeOf(
    around(() => {
      outcome = outcomeOf(over.opened.then(() => add('late')));
    }),
  );
  over.open();
  return await outcome;
}

describe('what is left running', () => {
  it('by a transaction is refused, whether that was stored or undone', async () => {
    engine = items.engine();
    const stored = leftBy((leave) => engine.transaction(async () => (await add('one'), leave())));
    expect(await stored).toBe(TransactionEndedError);
    const undone = leftBy((leave) =>
      engine.transaction(async () => {
        await add('two');
        leave();
        throw new RangeError('undone');
      }),
    );
    expect(await undone).toBe(TransactionEndedError);
    expect(await items.names()).toEqual(['one']);
  });

  it('by a scope that was one unit of work is refused, whether that was stored or undone', async () => {
    engine = items.engine();
    for (const end of ['stored', 'undone']) {
      const left = leftBy((leave) =>
        engine.scope(async () => {
          await engine.currentConnection().execute(insert(end));
          leave();
          if (end === 'undone') throw new RangeError(end);
        }),
      );
      expect(await left).toBe(ScopeEndedError);
    }
    expect(await items.names()).toEqual(['stored']);
  });

  it('by a scope whose connection nobody asked for commits itself', async () => {
    engine = items.engine();
    expect(await leftBy((leave) => engine.scope(async () => leave()))).toBeUndefined();
    expect(await items.names()).toEqual(['late']);
  });

  it('by an afterCommit hook commits itself', async () => {
    engine = items.engine();
    const left = leftBy((leave) => engine.transaction(async () => engine.afterCommit(leave)));
    expect(await left).toBeUndefined();
    expect(await items.names()).toEqual(['late']);
  });

  it('by runDetached() commits itself, and is stored although the transaction is undone', async () => {
    engine = items.engine();
    const left = leftBy((leave) =>
      engine.transaction(async () => {
        await add('undone');
        engine.runDetached(leave);
        throw new RangeError('undone');
      }),
    );
    expect(await left).toBeUndefined();
    expect(await items.names()).toEqual(['late']);
  });
});

describe('work behind the COMMIT in a scope of its own', () => {
  function start(work: () => Promise<void>): Promise<void> {
    return engine.transaction(async () => {
      await add('order');
      engine.afterCommit(() => void engine.scope(work, { label: 'report' }));
    });
  }

  it('sees what was stored, and its caller does not wait for it', async () => {
    engine = items.engine();
    const returned = new Latch();
    const reported = new Latch();
    await start(async () => {
      await returned.opened;
      await engine.execute(insert(`${(await items.names()).join()} reported`));
      reported.open();
    });
    returned.open();
    await reported.opened;
    expect(await items.names()).toEqual(['order', 'order reported']);
  });

  it('is waited for by a shutdown', async () => {
    engine = items.engine();
    const over = new Latch();
    await start(async () => {
      await over.opened;
      await add('report');
    });
    const drained = engine.drain(30_000);
    over.open();
    await drained;
    expect(await items.names()).toEqual(['order', 'report']);
  });

  it('is not begun where the transaction is undone', async () => {
    engine = items.engine();
    let calls = 0;
    const work = engine.transaction(async () => {
      await add('order');
      engine.afterCommit(() => void engine.scope(async () => void calls++));
      throw new RangeError('undone');
    });
    await failureOf(work);
    expect([calls, await items.names()]).toEqual([0, []]);
  });
});

describe('runDetached() without a scope', () => {
  it('is not waited for by a shutdown between two of its statements', async () => {
    engine = items.engine();
    const over = new Latch();
    const left = engine.runDetached(() => outcomeOf(over.opened.then(() => add('late'))));
    await engine.drain(30_000);
    await engine.aclose();
    over.open();
    expect(await left).toBe(ResourceClosedError);
    expect(await items.names()).toEqual([]);
  });
});

describe('a timer', () => {
  it('belongs to the transaction that started it, and to none where runDetached() did', async () => {
    engine = items.engine();
    const over = new Latch();
    const { ticks } = await engine.transaction(async () => {
      await add('one');
      const tick = (name: string): Promise<unknown> =>
        outcomeOf(Promise.all([sleep(1), over.opened]).then(() => add(name)));
      return { ticks: Promise.all([tick('bound'), engine.runDetached(() => tick('free'))]) };
    });
    over.open();
    expect(await ticks).toEqual([TransactionEndedError, undefined]);
    expect(await items.names()).toEqual(['free', 'one']);
  });
});

describe('a listener of an EventEmitter', () => {
  it('belongs to the transaction that emits, not to the place that registered it', async () => {
    engine = items.engine();
    const emitter = new EventEmitter();
    emitter.on('placed', (done: (work: Promise<unknown>) => void) => done(add('heard')));
    await engine
      .transaction(async () => {
        const heard: Promise<unknown>[] = [];
        emitter.emit('placed', (work: Promise<unknown>) => heard.push(work));
        await Promise.all(heard);
        expect(heard).toHaveLength(1);
        throw new RangeError('undone');
      })
      .catch(() => undefined);
    expect(await items.names()).toEqual([]);
  });
});

describe('a queue in memory', () => {
  it('runs a job in the context of whoever lets it go on; a scope makes it its own', async () => {
    engine = items.engine({ poolSize: 2 });
    const jobs: (() => Promise<unknown>)[] = [];
    const next = (): Promise<unknown> => jobs.shift()?.() ?? Promise.reject(new Error('no job'));
    jobs.push(() => add('joined'));
    jobs.push(() => engine.scope(() => add('own')));
    await failureOf(
      engine.transaction(async () => {
        await next();
        await next();
        throw new RangeError('of another request');
      }),
    );
    expect(await items.names()).toEqual(['own']);
  });
});
