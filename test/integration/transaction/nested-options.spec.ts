import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  DBAPIError,
  IllegalStateError,
  LockNotAvailableError,
  QueryCanceledError,
  text,
  TransactionTimeoutError,
} from 'nest-async-engine/engine';
import type { AsyncEngine, TransactionalOptions } from 'nest-async-engine/engine';
import { Latch } from '../../support/process/barrier.js';
import { failureOf, insert, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
beforeAll(async () => {
  items = await ItemDatabase.open('nested_options');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const show = (engine: AsyncEngine, name: string): Promise<unknown> =>
  engine.scalar(text('SELECT current_setting(:name, TRUE)'), { name });

/** Runs one statement in a transaction with `inner` inside one with `outer`. */
function nest(
  engine: AsyncEngine,
  outer: TransactionalOptions,
  inner: TransactionalOptions,
): Promise<unknown> {
  return engine.transaction(async () => {
    await engine.execute(text('SELECT 1'));
    return await engine.transaction(() => engine.execute(text('SELECT 2')), inner);
  }, outer);
}

describe('options of a nested transaction', () => {
  it.each([
    [{ isolationLevel: 'READ COMMITTED' }, { isolationLevel: 'SERIALIZABLE' }],
    [{ readOnly: true }, { readOnly: false }],
    [{}, { deferrable: true }],
  ] as const)('in one with %j: %j are refused before anything is sent', async (outer, inner) => {
    expect(await failureOf(nest(items.engine(), outer, inner))).toBeInstanceOf(IllegalStateError);
  });

  it.each([
    [{ isolationLevel: 'SERIALIZABLE' }, { isolationLevel: 'SERIALIZABLE' }],
    [{}, { isolationLevel: 'READ COMMITTED' }],
    [{ readOnly: true }, { readOnly: true }],
    [{}, { readOnly: false }],
    [{ deferrable: true }, { deferrable: true }],
    [{ isolationLevel: 'SERIALIZABLE' }, { isolationLevel: undefined }],
  ] as const)('in one with %j: %j hold', async (outer, inner) => {
    await expect(nest(items.engine(), outer, inner)).resolves.toBeDefined();
  });

  it('an isolation level is put to the server where the root left it to the server, and says what to do', async () => {
    const failure = await failureOf(nest(items.engine(), {}, { isolationLevel: 'SERIALIZABLE' }));
    expect(failure).toBeInstanceOf(DBAPIError);
    expect((failure as DBAPIError).sqlState).toBe('25001');
    expect(String(failure)).toContain(
      "where the outermost transaction begins, or give this one propagation: 'requires-new'",
    );
  });

  it('values that are none are refused', async () => {
    const engine = items.engine();
    const refused = await Promise.all(
      [{ timeout: -1 }, { settings: { 'no name': 'x' } }].map((inner) => failureOf(nest(engine, {}, inner))),
    );
    expect(refused.map((error) => (error as Error).constructor)).toEqual([ArgumentError, ArgumentError]);
  });

  it('readOnly refuses writes, and the outer one writes on', async () => {
    const engine = items.engine();
    await engine.transaction(async () => {
      await engine.execute(insert('before'));
      const failure = await failureOf(
        engine.transaction(() => engine.execute(insert('inside')), { readOnly: true }),
      );
      expect((failure as DBAPIError).sqlState).toBe('25006');
      await engine.transaction(() => engine.execute(text('SELECT 1')), { readOnly: true });
      await engine.execute(insert('after'));
    });
    expect(await items.names()).toEqual(['after', 'before']);
  });

  it.each(['returns', 'throws'] as const)(
    'settings hold inside it, and when it %s the outer ones',
    async (end) => {
      const engine = items.engine();
      await engine.transaction(
        async () => {
          const inner = engine.transaction(
            async () => {
              expect(await show(engine, 'app.tenant')).toBe('inner');
              if (end === 'throws') throw new RangeError('undo');
            },
            { settings: { 'app.tenant': 'inner' } },
          );
          await inner.catch(() => undefined);
          expect(await show(engine, 'app.tenant')).toBe('outer');
        },
        { settings: { 'app.tenant': 'outer' } },
      );
    },
  );

  it('settings of three levels come back one by one', async () => {
    const engine = items.engine({ settings: { 'app.tenant': 'session' } });
    const seen: unknown[] = [];
    const enter = async (levels: readonly string[]): Promise<void> => {
      const [level, ...rest] = levels;
      if (level === undefined) return;
      await engine.transaction(
        async () => {
          seen.push(await show(engine, 'app.tenant'));
          await enter(rest);
          seen.push(await show(engine, 'app.tenant'));
        },
        { settings: { 'app.tenant': level } },
      );
    };
    await engine.transaction(async () => {
      await enter(['one', 'two', 'three']);
      seen.push(await show(engine, 'app.tenant'));
    });
    expect(seen).toEqual(['one', 'two', 'three', 'three', 'two', 'one', 'session']);
  });

  it('statementTimeout ends its statements only', async () => {
    const engine = items.engine();
    await engine.transaction(async () => {
      const slow = engine.transaction(() => engine.execute(text('SELECT pg_sleep(30)')), {
        statementTimeout: 50,
      });
      expect(await failureOf(slow)).toBeInstanceOf(QueryCanceledError);
      await engine.transaction(() => engine.execute(text('SELECT 1')), { statementTimeout: 50 });
      expect(await show(engine, 'statement_timeout')).toBe('0');
    });
  });

  it('lockTimeout ends its waits for a lock only', async () => {
    const engine = items.engine();
    const other = items.engine();
    await other.begin(async (holder) => {
      await holder.execute(text('LOCK TABLE item'));
      await engine.transaction(async () => {
        const wait = engine.transaction(() => engine.execute(insert('never')), { lockTimeout: 50 });
        expect(await failureOf(wait)).toBeInstanceOf(LockNotAvailableError);
        expect(await show(engine, 'lock_timeout')).toBe('0');
      });
    });
  });

  it('timeout cancels what runs in it, undoes it, and the outer one goes on', async () => {
    const engine = items.engine();
    await engine.transaction(async () => {
      await engine.execute(insert('before'));
      const slow = engine.transaction(
        async () => {
          await engine.execute(insert('inside'));
          await engine.execute(text('SELECT pg_sleep(30)'));
        },
        { timeout: 100 },
      );
      expect(await failureOf(slow)).toBeInstanceOf(TransactionTimeoutError);
      await engine.execute(insert('after'));
    });
    expect(await items.names()).toEqual(['after', 'before']);
  });

  it('timeout undoes it at once, whatever its work is waiting for', async () => {
    const engine = items.engine();
    const other = items.engine();
    const release = new Latch();
    const written = new Latch();
    const slow = engine.transaction(async () => {
      await engine.execute(text('SELECT 1'));
      return await failureOf(
        engine.transaction(
          async () => {
            await engine.execute(insert('key'));
            written.open();
            await release.opened;
          },
          { timeout: 100 },
        ),
      );
    });
    await written.opened;
    // Waits for the key until the savepoint is gone.
    await other.execute(insert('key'));
    release.open();
    expect(await slow).toBeInstanceOf(TransactionTimeoutError);
  });

  it('timeout is over with it', async () => {
    const engine = items.engine();
    await engine.transaction(async () => {
      await engine.transaction(() => engine.execute(insert('inside')), { timeout: 60 });
      await engine.execute(text('SELECT pg_sleep(0.12)'));
    });
    expect(await items.names()).toEqual(['inside']);
  });
});

describe('options of a transaction that joins', () => {
  it.each([
    [{}, { isolationLevel: 'SERIALIZABLE' }],
    [{ readOnly: true }, { readOnly: false }],
    [{ settings: { 'app.tenant': 'a' } }, { settings: { 'app.tenant': 'b' } }],
  ] as const)('one with %j: %j are refused', async (outer, inner) => {
    const joining = nest(items.engine(), outer, { ...inner, propagation: 'required' });
    expect(await failureOf(joining)).toBeInstanceOf(IllegalStateError);
  });

  it.each([
    [{ isolationLevel: 'SERIALIZABLE' }, { isolationLevel: 'SERIALIZABLE' }],
    [{ settings: { 'app.tenant': 'a' } }, { settings: { 'app.tenant': 'a' } }],
    [{}, { timeout: 10_000, readOnly: true }],
  ] as const)('one with %j: %j pass', async (outer, inner) => {
    const joining = nest(items.engine(), outer, { ...inner, propagation: 'required' });
    await expect(joining).resolves.toBeDefined();
  });
});

describe('an option that is given as undefined', () => {
  it('leaves the default of the connection as it is', async () => {
    await using connection = await items.engine({ isolationLevel: 'SERIALIZABLE' }).connect();
    await connection.begin({ isolationLevel: undefined });
    expect(await connection.getIsolationLevel()).toBe('SERIALIZABLE');
  });

  it('leaves the default of the engine as it is', async () => {
    const engine = items.engine({ transactional: { isolationLevel: 'SERIALIZABLE' } });
    const level = engine.transaction(() => engine.currentConnection().getIsolationLevel(), {
      isolationLevel: undefined,
    });
    expect(await level).toBe('SERIALIZABLE');
  });

  it('leaves the options of a connection as they are', async () => {
    await using connection = await items.engine().connect();
    await connection.executionOptions({ isolationLevel: 'SERIALIZABLE' });
    await connection.executionOptions({ isolationLevel: undefined });
    expect(connection.getExecutionOptions()).toEqual({ isolationLevel: 'SERIALIZABLE' });
  });
});

describe('the default options of an engine', () => {
  it('are those of its roots: what is nested in another root takes none of them', async () => {
    const engine = items.engine({ transactional: { isolationLevel: 'SERIALIZABLE' } });
    const nested = engine.transaction(
      () => engine.transaction(() => engine.currentConnection().getIsolationLevel()),
      { isolationLevel: 'READ COMMITTED' },
    );
    expect(await nested).toBe('READ COMMITTED');
  });

  it('are those of a root of its own inside another one, too', async () => {
    const engine = items.engine({ poolSize: 2, transactional: { isolationLevel: 'SERIALIZABLE' } });
    const own = engine.transaction(
      () =>
        engine.transaction(() => engine.currentConnection().getIsolationLevel(), {
          propagation: 'requires-new',
        }),
      { isolationLevel: 'READ COMMITTED' },
    );
    expect(await own).toBe('SERIALIZABLE');
  });
});
