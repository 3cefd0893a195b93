import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ScopeEndedError, text } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { Latch } from '../../support/process/barrier.js';
import { failureOf, insert, MemoryLogger, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
let log: MemoryLogger;
beforeAll(async () => {
  items = await ItemDatabase.open('scope_end');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

function start(poolSize = 1): void {
  log = new MemoryLogger();
  engine = items.engine({ poolSize, logger: log, poolTimeout: 2_000, nestedWaitTimeout: 2_000 });
}

const PID = text('SELECT pg_backend_pid() AS pid');

describe('the end of a scope', () => {
  it('refuses what comes later, by its label', async () => {
    start();
    const over = new Latch();
    const { late } = await engine.scope(
      async () => {
        const connection = engine.currentConnection();
        await connection.execute(insert('in time'));
        const then = <T>(work: () => PromiseLike<T>): Promise<unknown> => failureOf(over.opened.then(work));
        return {
          late: Promise.all([
            then(() => engine.execute(insert('late'))),
            then(() => engine.transaction(() => engine.execute(insert('late')))),
            then(async () => engine.currentConnection()),
            then(() => engine.stream(text('SELECT 1')).all()),
          ]),
        };
      },
      { label: 'job 7' },
    );
    over.open();
    for (const failure of await late) {
      expect(failure).toBeInstanceOf(ScopeEndedError);
      expect(String(failure)).toContain('job 7');
    }
    expect(await items.names()).toEqual(['in time']);
  });

  it('comes with the last lease', async () => {
    start();
    const scope = engine.openScope({ label: 'request' });
    const [handler, response] = [scope.lease(), scope.lease()];
    await scope.run(() => engine.currentConnection().execute(insert('one')));
    await handler.release();
    await handler.release();
    expect(scope.isOpen).toBe(true);
    expect(engine.pool.checkedOut()).toBe(1);
    await scope.complete();
    await response.release();
    expect(scope.isOpen).toBe(false);
    expect(() => scope.lease()).toThrow(ScopeEndedError);
    expect(await items.names()).toEqual(['one']);
  });

  it('without complete() is a rollback', async () => {
    start();
    const scope = engine.openScope();
    const lease = scope.lease();
    await scope.run(() => engine.currentConnection().execute(insert('undone')));
    await lease.release();
    expect(await items.names()).toEqual([]);
  });

  it('waits for an open transaction and for an open stream', async () => {
    start(2);
    const scope = engine.openScope();
    const lease = scope.lease();
    const over = new Latch();
    const inside = new Latch();
    const transaction = scope.run(() =>
      engine.transaction(async () => {
        await engine.execute(insert('one'));
        inside.open();
        await over.opened;
        await engine.execute(insert('two'));
      }),
    );
    await inside.opened;
    const rows = scope.run(() => engine.stream(text('SELECT * FROM GENERATE_SERIES(1, 5000) AS n')));
    await rows.fetchMany(1);
    await lease.release();
    expect(scope.isOpen).toBe(true);
    over.open();
    await transaction;
    expect(scope.isOpen).toBe(true);
    await rows.close();
    expect(scope.isOpen).toBe(false);
    expect(await items.names()).toEqual(['one', 'two']);
  });

  for (const end of ['complete', 'fail'] as const) {
    it(`after ${end}() statements commit themselves, on a pool of 1 too`, async () => {
      start();
      const scope = engine.openScope();
      const lease = scope.lease();
      const connection = await scope.run(async () => {
        await engine.currentConnection().execute(insert('unit'));
        return engine.currentConnection();
      });
      await scope[end]();
      await scope.run(async () => {
        await connection.execute(insert('by the handle'));
        await engine.execute(insert('by the engine'));
        await engine.transaction(() => engine.execute(insert('root')));
        expect(engine.pool.checkedOut()).toBe(0);
      });
      const expected = ['by the engine', 'by the handle', 'root'];
      expect(await items.names()).toEqual(end === 'complete' ? [...expected, 'unit'] : expected);
      await lease.release();
    });
  }

  it('that began by hand after the unit ended is settled too', async () => {
    start();
    await engine.scope(async () => {
      const connection = engine.currentConnection();
      await connection.execute(insert('first'));
      await connection.commit();
      await connection.execute(insert('second'));
    });
    expect(await items.names()).toEqual(['first', 'second']);
  });

  it('is a clean one when its connection was lost', async () => {
    start();
    const failure = await failureOf(
      engine.scope(async () => {
        const connection = engine.currentConnection();
        const pid = await connection.scalar(PID);
        await items.database.query('SELECT pg_terminate_backend($1)', [pid]);
        await failureOf(connection.execute(insert('lost')));
      }),
    );
    expect(failure).toBeInstanceOf(Error);
    expect(engine.pool.checkedOut()).toBe(0);
    expect(await items.names()).toEqual([]);
  });

  it.each(['rollback', 'reset', 'checkin'] as const)(
    'gives the connection back and keeps the error of its work when a listener of %s throws',
    async (event) => {
      start();
      engine.on(event, () => {
        throw new Error('of the listener');
      });
      const work = async (): Promise<void> => {
        await engine.currentConnection().execute(insert('undone'));
        throw new RangeError('mine');
      };
      expect(String(await failureOf(engine.scope(work)))).toBe('RangeError: mine');
      expect(log.errors.join()).toContain('of the listener');
      expect(engine.pool.checkedOut()).toBe(0);
      expect(await items.names()).toEqual([]);
    },
  );
});
