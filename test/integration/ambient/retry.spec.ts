import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  AfterCommitError,
  DeadlockDetectedError,
  SerializationFailureError,
  text,
} from 'nest-async-engine/engine';
import type { AsyncEngine, RetryOptions } from 'nest-async-engine/engine';
import { Barrier } from '../../support/process/barrier.js';
import { startFaultyProxy } from '../../support/server/faulty-proxy.js';
import { failureOf, insert, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('retry');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const AT_ONCE = { baseDelay: 1, maxDelay: 1 };
const conflict = () => new SerializationFailureError('made up', { sqlState: '40001' });

describe('retry', () => {
  it('repeats with a fresh BEGIN after a 40001 at COMMIT', async () => {
    await using proxy = await startFaultyProxy(items.database.url);
    engine = items.engine({ poolSize: 2 }, proxy.url);
    const bothHaveRead = new Barrier(2);
    const errors: unknown[] = [];
    const retry: RetryOptions = { ...AT_ONCE, retries: 3, onRetry: (error) => errors.push(error) };
    // Write skew: each reads what the other writes. The first to commit wins, the other fails at its COMMIT or before.
    const skew = (name: string) => {
      let attempt = 0;
      return engine.transaction(
        async () => {
          attempt += 1;
          const count = await engine.scalar<number>(text('SELECT COUNT(*)::INT FROM item'));
          if (attempt === 1) await bothHaveRead.arrive();
          await engine.execute(insert(`${name} saw ${count}`));
          return attempt;
        },
        { isolationLevel: 'SERIALIZABLE', retry },
      );
    };
    const attempts = await Promise.all([skew('a'), skew('b')]);
    expect(attempts.toSorted()).toEqual([1, 2]);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toBeInstanceOf(SerializationFailureError);
    expect((await items.names()).map((name) => name.slice(-5)).toSorted()).toEqual(['saw 0', 'saw 1']);
    const begins = proxy.statements.filter((sql) => sql === 'BEGIN ISOLATION LEVEL SERIALIZABLE');
    expect(begins).toHaveLength(3);
    await engine.dispose();
  });

  it('catches a 40001 that COMMIT itself reports', async () => {
    engine = items.engine({ poolSize: 2 });
    const serializable = { isolationLevel: 'SERIALIZABLE', retry: { ...AT_ONCE, retries: 1 } } as const;
    const count = text('SELECT COUNT(*)::INT FROM item');
    const bothHaveWritten = new Barrier(2);
    const states: unknown[] = [];
    const skew = (name: string) => {
      let attempt = 0;
      return engine.transaction(async () => {
        attempt += 1;
        await engine.scalar(count);
        await engine.execute(insert(`${name} ${attempt}`));
        // Both have done all that they do: what fails now is COMMIT.
        if (attempt === 1) await bothHaveWritten.arrive();
        engine.afterRollback(() => states.push(engine.tryCurrentConnection()));
      }, serializable);
    };
    await Promise.all([skew('a'), skew('b')]);
    expect(await items.names()).toHaveLength(2);
    expect(states).toEqual([undefined]);
  });

  it('repeats after a 40P01', async () => {
    engine = items.engine({ poolSize: 2 });
    await items.database.query(
      `CREATE TABLE counter AS SELECT name, 0 AS total FROM UNNEST(ARRAY['x', 'y']) AS name`,
    );
    const bothHaveOne = new Barrier(2);
    const errors: unknown[] = [];
    const cross = (first: string, second: string) => {
      let attempt = 0;
      return engine.transaction(
        async () => {
          attempt += 1;
          await engine.execute(text(`UPDATE counter SET total = total + 1 WHERE name = '${first}'`));
          if (attempt === 1) await bothHaveOne.arrive();
          await engine.execute(text(`UPDATE counter SET total = total + 1 WHERE name = '${second}'`));
        },
        { retry: { ...AT_ONCE, retries: 3, onRetry: (error) => errors.push(error) } },
      );
    };
    await Promise.all([cross('x', 'y'), cross('y', 'x')]);
    // Mostly one: the attempt that follows may take the row before the one that waited for it wakes up.
    expect(errors[0]).toBeInstanceOf(DeadlockDetectedError);
    expect(errors.every((error) => error instanceof DeadlockDetectedError)).toBe(true);
    const totals = await items.database.query('SELECT total FROM counter');
    expect(totals).toEqual([{ total: 2 }, { total: 2 }]);
  });

  it('is the root’s: a nested transaction passes its failure on', async () => {
    engine = items.engine();
    let [roots, nested] = [0, 0];
    await engine.transaction(
      async () => {
        roots += 1;
        await engine.transaction(
          async () => {
            nested += 1;
            await engine.execute(insert(`attempt ${nested}`));
            if (nested === 1) throw conflict();
          },
          { retry: { ...AT_ONCE, retries: 5 } },
        );
      },
      { retry: { ...AT_ONCE, retries: 1 } },
    );
    expect([roots, nested]).toEqual([2, 2]);
    expect(await items.names()).toEqual(['attempt 2']);
  });

  it('drops the hooks of a failed attempt', async () => {
    engine = items.engine();
    const ran: number[] = [];
    let attempt = 0;
    await engine.transaction(
      async () => {
        const own = (attempt += 1);
        engine.afterCommit(() => ran.push(own));
        await engine.execute(insert(`attempt ${own}`));
        if (own < 3) throw conflict();
      },
      { retry: { ...AT_ONCE, retries: 5 } },
    );
    expect(ran).toEqual([3]);
    expect(await items.names()).toEqual(['attempt 3']);
  });

  it('is bounded, and the last error is thrown', async () => {
    engine = items.engine();
    const errors: Error[] = [];
    const failure = await failureOf(
      engine.transaction(
        () => {
          errors.push(conflict());
          throw errors.at(-1);
        },
        { retry: { ...AT_ONCE, retries: 2 } },
      ),
    );
    expect(errors).toHaveLength(3);
    expect(failure).toBe(errors[2]);
  });

  it('repeats nothing but 40001 and 40P01, or what retryOn says', async () => {
    engine = items.engine();
    const attemptsWith = async (retry: RetryOptions | number): Promise<number> => {
      let attempts = 0;
      const work = (): never => {
        attempts += 1;
        throw new Error('other');
      };
      await failureOf(engine.transaction(work, { retry }));
      return attempts;
    };
    expect(await attemptsWith(2)).toBe(1);
    expect(await attemptsWith({ ...AT_ONCE, retries: 2, retryOn: () => true })).toBe(3);
  });

  it('never repeats what is committed, whatever retryOn says', async () => {
    engine = items.engine();
    let attempts = 0;
    const failure = await failureOf(
      engine.transaction(
        async () => {
          attempts += 1;
          await engine.execute(insert(`attempt ${attempts}`));
          engine.afterCommit(() => Promise.reject(conflict()));
        },
        { retry: { ...AT_ONCE, retries: 2, retryOn: () => true } },
      ),
    );
    expect(failure).toBeInstanceOf(AfterCommitError);
    expect(await items.names()).toEqual(['attempt 1']);
  });

  it('in a scope leaves no lease behind', async () => {
    engine = items.engine();
    const scope = engine.openScope();
    const lease = scope.lease();
    await scope.run(() => engine.transaction(() => engine.execute(insert('one')), { retry: 2 }));
    await lease.release();
    expect(scope.isOpen).toBe(false);
  });
});
