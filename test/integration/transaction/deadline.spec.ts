import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { QueryCanceledError, text, TransactionTimeoutError } from 'nest-async-engine/engine';
import type { AsyncConnection, AsyncEngine } from 'nest-async-engine/engine';
import { Latch } from '../../support/process/barrier.js';
import { failureOf, insert, MemoryLogger, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('deadline');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const ONE = text('SELECT 1');
const NEVER = new Promise<never>(() => undefined);

function start(poolSize = 1): AsyncEngine {
  engine = items.engine({
    poolSize,
    logger: new MemoryLogger(),
    poolTimeout: 20_000,
    nestedWaitTimeout: 20_000,
  });
  return engine;
}

describe('a transaction whose time has passed', () => {
  it.each<[string, () => Promise<unknown>]>([
    [
      'engine.transaction()',
      () => engine.transaction(() => engine.execute(insert('undone')).then(() => NEVER), { timeout: 50 }),
    ],
    [
      'engine.begin()',
      () =>
        engine.begin((connection) => connection.execute(insert('undone')).then(() => NEVER), { timeout: 50 }),
    ],
    [
      'a nested transaction',
      () =>
        engine.transaction(async () => {
          await engine.execute(ONE);
          await engine.transaction(() => engine.execute(insert('undone')).then(() => NEVER), { timeout: 50 });
        }),
    ],
    [
      'a nested one without a time of its own',
      () =>
        engine.transaction(
          () => engine.transaction(() => engine.execute(insert('undone')).then(() => NEVER)),
          { timeout: 50 },
        ),
    ],
  ])('%s rejects and gives its connection back though its work never settles', async (_name, run) => {
    start();
    expect(await failureOf(run())).toBeInstanceOf(TransactionTimeoutError);
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.execute(insert('next'));
    expect(await items.names()).toEqual(['next']);
  });

  it('refuses what its work sends later, and begins no other one', async () => {
    start();
    const expired = new Latch();
    let late: Promise<unknown> | undefined;
    await failureOf(
      engine.transaction(
        async () => {
          await engine.execute(ONE);
          late = failureOf(expired.opened.then(() => engine.execute(insert('late'))));
          await NEVER;
        },
        { timeout: 50 },
      ),
    );
    expired.open();
    expect((await late) as Error).toMatchObject({
      code: expect.stringMatching(/TRANSACTION_(TIMEOUT|ENDED)/),
    });
    expect(await items.names()).toEqual([]);
  });

  it('begun by hand gives nothing to statements until its owner has ended it', async () => {
    const connection: AsyncConnection = await start().connect();
    const transaction = await connection.begin({ timeout: 50 });
    await connection.execute(insert('undone'));
    await new Promise<void>((resolve) => transaction.deadline?.addEventListener('abort', () => resolve()));
    expect(await failureOf(connection.execute(insert('late')))).toBeInstanceOf(TransactionTimeoutError);
    expect(await failureOf(connection.commit())).toBeInstanceOf(TransactionTimeoutError);
    await connection.execute(insert('next'));
    await connection.commit();
    await connection.close();
    expect(await items.names()).toEqual(['next']);
  });

  it('ends the wait of engine.begin() for its connection, which goes to the next', async () => {
    await start().connect(async () => {
      const work = engine.runDetached(() =>
        engine.begin((connection) => connection.execute(insert('never')), { timeout: 50 }),
      );
      expect(await failureOf(work)).toBeInstanceOf(TransactionTimeoutError);
      expect(engine.pool.waiting()).toBe(0);
    });
    await engine.begin((connection) => connection.execute(insert('next')), { timeout: 5_000 });
    expect(await items.names()).toEqual(['next']);
  });

  it('may be set for work that gives no promise', async () => {
    const work = (() => 'done') as unknown as () => Promise<string>;
    expect(await start().begin(work, { timeout: 5_000 })).toBe('done');
    const connection = await engine.connect();
    expect(await connection.begin(work, { timeout: 5_000 })).toBe('done');
    await connection.close();
  });

  it('leaves the outer one of a nested one to go on', async () => {
    start();
    await engine.transaction(async () => {
      await engine.execute(insert('outer'));
      const inner = engine.transaction(() => engine.execute(insert('undone')).then(() => NEVER), {
        timeout: 50,
      });
      expect(await failureOf(inner)).toBeInstanceOf(TransactionTimeoutError);
      await engine.execute(insert('after'));
    });
    expect(await items.names()).toEqual(['after', 'outer']);
  });
});

describe('a limit ends a wait', () => {
  /** Runs `work` beside a nested transaction that is inside until `work` has ended. */
  async function besideSibling(work: () => Promise<unknown>): Promise<unknown> {
    const inside = new Latch();
    const over = new Latch();
    return await start().transaction(async () => {
      await engine.execute(ONE);
      const sibling = engine.transaction(async () => {
        await engine.execute(ONE);
        inside.open();
        await over.opened;
      });
      await inside.opened;
      const ended = await work();
      over.open();
      await sibling;
      return ended;
    });
  }

  it.each<[string, () => Promise<unknown>, abstract new (...args: never[]) => Error]>([
    [
      'the timeout of a statement in a nested transaction',
      () => engine.transaction(() => engine.execute(ONE, {}, { timeout: 50 })),
      QueryCanceledError,
    ],
    [
      'the signal of a statement',
      () => Promise.resolve(engine.execute(ONE, {}, { signal: AbortSignal.timeout(50) })),
      QueryCanceledError,
    ],
    [
      'the timeout of a nested transaction',
      () => engine.transaction(() => engine.execute(ONE), { timeout: 50 }),
      TransactionTimeoutError,
    ],
  ])('for a sibling: %s', async (_name, limited, error) => {
    expect(await besideSibling(() => failureOf(limited()))).toBeInstanceOf(error);
  });

  it('for a root on the same connection, of the one that waits alone', async () => {
    start();
    await engine.scope(async () => {
      const scope = engine.currentScope();
      const connection = engine.currentConnection();
      await connection.execute(insert('first'));
      const queued = scope?.enqueueTransaction({ timeout: 50 });
      const waiting = queued?.execute(() => Promise.resolve('never'));
      expect(await failureOf(Promise.resolve(waiting))).toBeInstanceOf(TransactionTimeoutError);
      await connection.execute(insert('second'));
    });
    expect(await items.names()).toEqual(['first', 'second']);
  });

  it('for a connection, of the one that waits alone', async () => {
    const holder = await start().connect();
    const waits = engine.transaction(async () => {
      const outer = engine.execute(insert('outer'));
      const nested = failureOf(engine.transaction(() => engine.execute(ONE), { timeout: 50 }));
      expect(await nested).toBeInstanceOf(TransactionTimeoutError);
      await holder.close();
      await outer;
    });
    await waits;
    expect(await items.names()).toEqual(['outer']);
  });

  it('for a connection, of two statements the one that was aborted', async () => {
    const holder = await start().connect();
    await engine.transaction(async () => {
      const aborted = failureOf(engine.execute(ONE, {}, { timeout: 50 }));
      const patient = engine.execute(insert('patient'));
      expect(await aborted).toBeInstanceOf(QueryCanceledError);
      await holder.close();
      await patient;
    });
    expect(await items.names()).toEqual(['patient']);
  });
});
