import { getEventListeners, getMaxListeners } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { QueryCanceledError, text } from 'nest-async-engine/engine';
import type { AsyncEngine, StatementOptions } from 'nest-async-engine/engine';
import { eventually } from '../../support/process/barrier.js';
import { failureOf, insert, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  items = await ItemDatabase.open('statement_limits');
});
beforeEach(() => {
  engine = items.engine({ poolSize: 1, maxOverflow: 0, poolTimeout: 15_000 });
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const one = text('SELECT 1');

/** What ends the wait, and when: a time of its own, or a signal as soon as somebody waits. */
const limits = {
  timeout: (): StatementOptions => ({ timeout: 50 }),
  signal: (): StatementOptions => {
    const abort = new AbortController();
    void eventually(() => expect(engine.pool.waiting()).toBe(1)).then(() => abort.abort());
    return { signal: abort.signal };
  },
};

const places = {
  'a statement that commits itself': (options: StatementOptions) => engine.execute(one, undefined, options),
  'a stream': (options: StatementOptions) => engine.stream(one, undefined, options).all(),
  'the first statement of an ambient transaction': (options: StatementOptions) =>
    engine.transaction(() => engine.execute(one, undefined, options)),
  'the first statement of a nested one': (options: StatementOptions) =>
    engine.transaction(() => engine.transaction(() => engine.execute(one, undefined, options))),
  'the first statement of a scope': (options: StatementOptions) =>
    engine.scope(async () => {
      await engine.currentConnection().execute(one, undefined, options);
    }),
  'a statement that begins a transaction of its own': (options: StatementOptions) =>
    engine.executionOptions({ readOnly: true }).execute(one, undefined, options),
};

describe.each(Object.keys(limits) as (keyof typeof limits)[])('the %s of a statement', (limit) => {
  it.each(Object.keys(places) as (keyof typeof places)[])(
    'ends the wait for a connection of %s',
    async (place) => {
      const holder = await engine.connect();
      const failure = await failureOf(Promise.resolve(places[place](limits[limit]())));
      expect(failure).toBeInstanceOf(QueryCanceledError);
      expect(String(failure)).toContain('waited for a connection');
      expect(engine.pool.waiting()).toBe(0);
      await holder.close();
      expect(await engine.scalar(one)).toBe(1);
    },
  );
});

describe('a statement whose wait was ended', () => {
  it('leaves its transaction as it was, so that the next one is the first', async () => {
    const holder = await engine.connect();
    await engine.transaction(async () => {
      expect(await failureOf(engine.execute(insert('a'), undefined, { timeout: 50 }))).toBeInstanceOf(
        QueryCanceledError,
      );
      await holder.close();
      await engine.execute(insert('b'));
    });
    expect(await items.names()).toEqual(['b']);
  });

  it('ends alone: what waits beside it without a limit goes on', async () => {
    const holder = await engine.connect();
    await engine.transaction(async () => {
      const patient = engine.execute(insert('patient'));
      const hasty = await failureOf(engine.execute(insert('hasty'), undefined, { timeout: 50 }));
      expect(hasty).toBeInstanceOf(QueryCanceledError);
      await holder.close();
      await patient;
    });
    expect(await items.names()).toEqual(['patient']);
  });

  it('has what is left of its time on the wire', async () => {
    const holder = await engine.connect();
    const started = performance.now();
    const sleeping = failureOf(engine.execute(text('SELECT pg_sleep(20)'), undefined, { timeout: 600 }));
    setTimeout(() => void holder.close(), 400);
    expect(await sleeping).toMatchObject({ sqlState: '57014' });
    expect(performance.now() - started).toBeLessThan(950);
  });
});

describe('many statements with one signal', () => {
  const warnings: Error[] = [];
  const note = (warning: Error): void => void warnings.push(warning);
  const many = (options?: StatementOptions): Promise<unknown> =>
    Promise.all(Array.from({ length: 30 }, () => engine.execute(one, undefined, options)));

  beforeEach(() => {
    warnings.length = 0;
    process.on('warning', note);
  });
  afterEach(() => void process.off('warning', note));

  // Node tells of them in the next turn.
  const warningsOf = async (work: Promise<unknown>): Promise<Error[]> => {
    await work;
    await setImmediate();
    return warnings;
  };

  it('are taken for no leak of listeners, and leave its limit as it was', async () => {
    const { signal } = new AbortController();
    const limit = getMaxListeners(signal);
    expect(await warningsOf(many({ signal }))).toEqual([]);
    expect([getMaxListeners(signal), getEventListeners(signal, 'abort')]).toEqual([limit, []]);
  });

  it('are taken for none where it is the deadline of their transaction', async () => {
    expect(await warningsOf(engine.transaction(() => many(), { timeout: 5_000 }))).toEqual([]);
  });
});

describe('the error of a wait that its signal has ended', () => {
  const failureBy = async (reason?: unknown): Promise<Error> => {
    const holder = await engine.connect();
    const abort = new AbortController();
    const failure = failureOf(Promise.resolve(engine.execute(one, undefined, { signal: abort.signal })));
    await eventually(() => expect(engine.pool.waiting()).toBe(1));
    abort.abort(reason);
    const error = (await failure) as Error;
    await holder.close();
    return error;
  };

  it('leaves it to its cause where that says who has aborted', async () => {
    const { stack, cause } = await failureBy();
    expect(stack).not.toContain('\n    at ');
    expect((cause as Error).stack).toContain('wait-timeout.spec');
  });

  it('says itself who has aborted where its cause is no error', async () => {
    const { stack, cause } = await failureBy('enough');
    expect(stack).toContain('wait-timeout.spec');
    expect(cause).toBe('enough');
  });
});
