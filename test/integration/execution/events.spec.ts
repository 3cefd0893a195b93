import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  DataError,
  InvalidRequestError,
  SerializationFailureError,
  text,
} from 'nest-async-engine/engine';
import type { AsyncConnection, AsyncEngine, SavepointEvent } from 'nest-async-engine/engine';
import { failureOf, insert, MemoryLogger, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
let seen: string[];

beforeAll(async () => {
  items = await ItemDatabase.open('events');
});
beforeEach(() => {
  engine = items.engine();
  seen = [];
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const one = text('SELECT 1 AS one');
const asyncListener = async (): Promise<void> => {};

function record(...names: ('begin' | 'commit' | 'rollback' | 'rollbackSavepoint')[]): void {
  for (const name of names) engine.on(name, () => void seen.push(name));
}

describe('listeners', () => {
  it.each(['beforeCursorExecute', 'checkout', 'handleError'] as const)(
    'AE-61 to AE-63: an async listener of %s is refused when it is added',
    (name) => {
      expect(() => engine.on(name, asyncListener as unknown as () => undefined)).toThrow(ArgumentError);
    },
  );

  it('refuses a promise that a listener returns, and leaves no rejection behind', async () => {
    engine.on('beforeExecute', () => Promise.reject(new RangeError('late')) as unknown as undefined);
    expect(await failureOf(engine.execute(one))).toBeInstanceOf(InvalidRequestError);
  });

  it('refuses an unknown event, and to take away what was never added', () => {
    expect(() => engine.on('nonsense' as 'begin', () => undefined)).toThrow(InvalidRequestError);
    expect(() => engine.off('begin', () => undefined)).toThrow(InvalidRequestError);
    expect(() => engine.pool.on('begin' as 'close', () => undefined)).toThrow(InvalidRequestError);
  });

  it('calls one that was added twice once, one of once() once, and one that was taken away never', async () => {
    const twice = (): void => void seen.push('twice');
    const never = (): void => void seen.push('never');
    engine
      .on('afterExecute', twice)
      .on('afterExecute', twice)
      .once('afterExecute', () => void seen.push('once'));
    engine.once('afterExecute', never).off('afterExecute', never);
    await engine.execute(one);
    await engine.execute(one);
    expect(seen).toEqual(['twice', 'once', 'twice']);
  });

  it('calls one that is prepended before those that were added to the same object earlier', async () => {
    engine.on('afterExecute', () => void seen.push('first'));
    engine.on('afterExecute', () => void seen.push('prepended'), { prepend: true });
    engine.once('afterExecute', () => void seen.push('prepended once'), { prepend: true });
    await engine.execute(one);
    await engine.execute(one);
    expect(seen).toEqual(['prepended once', 'prepended', 'first', 'prepended', 'first']);
  });

  it('gives an engine made of another the listeners of that one, behind its own, and not the reverse', async () => {
    const child = engine.executionOptions({ timeout: 5_000 });
    child.on('afterExecute', () => void seen.push('child'));
    engine.on('afterExecute', () => void seen.push('parent'));
    await child.execute(one);
    await engine.execute(one);
    expect(seen).toEqual(['child', 'parent', 'parent']);
  });
});

describe('the engine of an event', () => {
  it.each(['beforeExecute', 'afterExecute', 'beforeCursorExecute', 'afterCursorExecute'] as const)(
    'is in %s also for a statement that commits itself',
    async (name) => {
      const engines: unknown[] = [];
      engine.on(name, (event: { readonly engine: AsyncEngine }) => void engines.push(event.engine));
      await engine.execute(one);
      await engine.connect((connection) => connection.execute(one));
      expect(engines).toEqual([engine, engine]);
    },
  );

  it('is the one that the connection was made by, where engines are made of each other', async () => {
    const child = engine.executionOptions({ timeout: 5_000 });
    const engines: unknown[] = [];
    engine.on('begin', (event) => void engines.push(event.engine));
    await engine.transaction(() => child.connect((connection) => connection.begin(async () => undefined)));
    expect(engines).toEqual([engine, child]);
    await child.connect(async (connection) => expect(connection.engine).toBe(child));
  });
});

describe('an error of the driver that a listener throws', () => {
  const driverError = async (): Promise<Error> => {
    const error = (await failureOf(engine.execute(text('SELECT 1 / 0')))) as Error;
    return error.cause as Error;
  };

  it.each(['beforeCursorExecute', 'afterCursorExecute'] as const)(
    'in %s arrives wrapped, and handleError hears of it once',
    async (name) => {
      const thrown = await driverError();
      const heard: unknown[] = [];
      engine.on('handleError', ({ error }) => void heard.push(error));
      engine.on(name, () => {
        throw thrown;
      });
      for (const run of [
        () => engine.execute(one),
        () => engine.stream(one).all(),
        () => engine.connect((connection) => connection.execute(one)),
      ]) {
        heard.length = 0;
        const error = await failureOf(run());
        expect(error).toBeInstanceOf(DataError);
        expect(error).toMatchObject({ cause: thrown, sqlState: '22012', statement: 'SELECT 1 AS one' });
        expect(heard).toEqual([error]);
      }
    },
  );

  it('is what handleError makes of it', async () => {
    const thrown = await driverError();
    engine.on('handleError', () => new RangeError('replaced'));
    engine.on('beforeCursorExecute', () => {
      throw thrown;
    });
    expect(await failureOf(engine.execute(one))).toBeInstanceOf(RangeError);
  });
});

it('an error that handleError gives and that takes no cause is the one that is thrown', async () => {
  const frozen = Object.freeze(new RangeError('replaced'));
  engine.on('handleError', () => frozen);
  expect(await failureOf(engine.execute(text('SELECT 1 / 0')))).toBe(frozen);
});

describe('skipUserErrorEvents', () => {
  it('keeps failures of its connections from handleError', async () => {
    engine.on('handleError', () => void seen.push('heard'));
    const quiet = engine.executionOptions({ skipUserErrorEvents: true });
    await failureOf(quiet.execute(text('SELECT 1 / 0')));
    await failureOf(quiet.connect((connection) => connection.execute(text('SELECT 1 / 0'))));
    expect(seen).toEqual([]);
    await failureOf(engine.execute(text('SELECT 1 / 0')));
    expect(seen).toEqual(['heard']);
  });
});

describe('the lines of echo debug', () => {
  const rows = text('SELECT g FROM generate_series(1, 100) g');

  it.each([
    ['first() of a result', 1, () => engine.execute(rows).first()],
    ['fetchMany(7) of a result', 7, () => engine.execute(rows).fetchMany(7)],
    ['all() of a result', 100, () => engine.execute(rows).all()],
    ['all() of a stream', 100, () => engine.stream(rows).all()],
    ['all rows of a stream, fetched by sevens', 100, () => engine.stream(rows, {}, { yieldPer: 7 }).all()],
    ['first() of a stream', 1, () => engine.stream(rows).first()],
  ])('show the columns and, for %s, %i rows', async (_, count, read) => {
    const lines: string[] = [];
    const log = (message: string): void => void lines.push(message);
    engine = items.engine({ echo: 'debug', logger: { log, warn: log, error: log } });
    await read();
    expect(lines.filter((line) => line.startsWith('Col ('))).toEqual(['Col (g)']);
    expect(lines.filter((line) => line.startsWith('Row ('))).toHaveLength(count);
  });
});

describe('statements', () => {
  it('AE-64: beforeCursorExecute gets the SQL, the values and that there is one set', async () => {
    const events: unknown[] = [];
    engine.on('beforeCursorExecute', (event) => void events.push({ ...event, options: undefined }));
    await engine.connect(async (connection) => {
      await connection.execute(text('SELECT :n::int'), { n: 1 });
      expect(events).toEqual([
        expect.objectContaining({
          engine,
          connection,
          sql: 'SELECT $1::int',
          parameters: [1],
          isMany: false,
        }),
      ]);
    });
  });

  it('AE-65: a listener that comes after the connection is called once', async () => {
    const connection = await engine.connect();
    engine.on('beforeCursorExecute', () => void seen.push('called'));
    await connection.execute(one);
    await connection.close();
    expect(seen).toEqual(['called']);
  });

  it.each(['beforeCursorExecute', 'afterCursorExecute'] as const)(
    'AE-67 and AE-68: an AbortError of %s passes as it is and invalidates the connection',
    async (name) => {
      const abort = new DOMException('stopped', 'AbortError');
      const connection = await engine.connect();
      connection.on(name, () => {
        throw abort;
      });
      expect(await failureOf(connection.execute(one))).toBe(abort);
      expect(connection.invalidated).toBe(true);
      await connection.close();
    },
  );

  it('X-15: a first statement is told of in the order of what happens', async () => {
    for (const name of [
      'beforeExecute',
      'begin',
      'beforeCursorExecute',
      'afterCursorExecute',
      'afterExecute',
    ] as const)
      engine.on(name, () => void seen.push(name));
    await engine.connect((connection) => connection.execute(one));
    expect(seen).toEqual([
      'beforeExecute',
      'begin',
      'beforeCursorExecute',
      'afterCursorExecute',
      'afterExecute',
    ]);
  });

  it('begins nothing when beforeExecute throws', async () => {
    engine.once('beforeExecute', () => {
      throw new RangeError('no');
    });
    const connection = await engine.connect();
    expect(await failureOf(connection.execute(one))).toBeInstanceOf(RangeError);
    expect(connection.inTransaction()).toBe(false);
    await connection.close();
  });

  it('goes on with the transaction when beforeCursorExecute throws', async () => {
    await engine.begin(async (connection) => {
      await connection.execute(insert('a'));
      engine.once('beforeCursorExecute', () => {
        throw new RangeError('no');
      });
      expect(await failureOf(connection.execute(insert('b')))).toBeInstanceOf(RangeError);
      await connection.execute(insert('c'));
    });
    expect(await items.names()).toEqual(['a', 'c']);
  });

  it('tells of a stream once, with its first rows', async () => {
    engine.on('beforeCursorExecute', ({ sql }) => void seen.push(sql));
    engine.on('afterExecute', () => void seen.push('after'));
    const rows = await engine
      .stream(text('SELECT generate_series(1, 5) AS n'), undefined, { yieldPer: 2 })
      .all();
    expect([rows.length, seen]).toEqual([5, ['SELECT generate_series(1, 5) AS n', 'after']]);
  });

  it('tells the same to node:diagnostics_channel', async () => {
    const hear = (event: unknown): void => void seen.push((event as { sql: string }).sql);
    subscribe('nest-async-engine:beforeCursorExecute', hear);
    try {
      await engine.execute(one);
    } finally {
      unsubscribe('nest-async-engine:beforeCursorExecute', hear);
    }
    await engine.execute(text('SELECT 2'));
    expect(seen).toEqual(['SELECT 1 AS one']);
  });
});

describe('transactions', () => {
  it('AE-66: begin of a connection is told before anything is sent, with that connection', async () => {
    const connections: unknown[] = [];
    const connection = await engine.connect();
    connection.on('begin', (event) => void connections.push(event.connection));
    await connection.begin(async () => expect(connections).toEqual([connection]));
    await connection.close();
  });

  it('X-13: savepoint has no name yet, its ends have the real one', async () => {
    const names: (string | undefined)[] = [];
    const note = ({ name }: SavepointEvent<AsyncConnection>): void => void names.push(name);
    engine.on('savepoint', note).on('rollbackSavepoint', note).on('releaseSavepoint', note);
    await engine.begin(async (connection) => {
      for (const end of ['commit', 'rollback'] as const) {
        const nested = await connection.beginNested();
        await connection.execute(insert(end));
        await nested[end]();
      }
    });
    expect(names).toEqual([undefined, 'nae_savepoint_1', undefined, 'nae_savepoint_2']);
  });

  it.each(['commit', 'rollback'] as const)(
    'X-13: a savepoint in which nothing ran has no name at its %s either',
    async (end) => {
      const names: (string | undefined)[] = [];
      const note = ({ name }: SavepointEvent<AsyncConnection>): void => void names.push(name);
      engine.on('savepoint', note).on('rollbackSavepoint', note).on('releaseSavepoint', note);
      await engine.begin(async (connection) => {
        await connection.execute(insert('a'));
        const nested = await connection.beginNested();
        await nested[end]();
      });
      expect(names).toEqual([undefined, undefined]);
    },
  );

  it.each([true, false])(
    'TX-05: a failed savepoint is told of once, then the commit (undone before: %s)',
    async (isUndone) => {
      record('rollbackSavepoint', 'commit', 'rollback');
      await engine.begin(async (connection) => {
        const failure = connection.beginNested(async (nested) => {
          await connection.execute(insert('a'));
          if (isUndone) await nested.rollback();
          throw new RangeError('undone');
        });
        expect(await failureOf(failure)).toBeInstanceOf(RangeError);
      });
      expect(seen).toEqual(['rollbackSavepoint', 'commit']);
    },
  );

  it('TX-30, TX-31, TX-32 and TX-71: rollback once for a transaction, never without one', async () => {
    record('rollback');
    await engine.connect(async (connection) => {
      await connection.execute(one);
      await connection.rollback();
    });
    expect(seen).toEqual(['rollback']);
    await failureOf(
      engine.connect((connection) => connection.execute(one).then(() => Promise.reject(new RangeError('x')))),
    );
    expect(seen).toEqual(['rollback', 'rollback']);
    await failureOf(engine.connect(() => Promise.reject(new RangeError('x'))));
    await engine.connect(() => Promise.resolve());
    expect(seen).toEqual(['rollback', 'rollback']);
  });

  it.each([true, false])(
    'TX-37: a block that throws is one rollback (undone before: %s)',
    async (isUndone) => {
      record('begin', 'commit', 'rollback');
      const connection = await engine.connect();
      const failure = connection.begin(async (root) => {
        await connection.execute(insert('a'));
        if (isUndone) await root.rollback();
        throw new RangeError('undone');
      });
      expect(await failureOf(failure)).toBeInstanceOf(RangeError);
      await connection.close();
      expect(seen).toEqual(['begin', 'rollback']);
    },
  );

  it('TX-64, TX-65, TX-66 and TX-69: commit, rollback, close and an open savepoint are one end each', async () => {
    record('commit', 'rollback', 'rollbackSavepoint');
    for (const end of ['commit', 'rollback', 'close'] as const) {
      await engine.connect(async (connection) => {
        const root = await connection.begin();
        await connection.execute(one);
        await root[end]();
      });
    }
    await engine.connect(async (connection) => {
      await connection.beginNested();
      await connection.execute(one);
    });
    expect(seen).toEqual(['commit', 'rollback', 'rollback', 'rollback']);
  });

  it('stores nothing when a commit listener throws, and passes its error', async () => {
    engine.once('commit', () => {
      throw new RangeError('veto');
    });
    expect(await failureOf(engine.begin((connection) => connection.execute(insert('a'))))).toBeInstanceOf(
      RangeError,
    );
    expect(await items.names()).toEqual([]);
  });

  it('rolls back all the same when a rollback listener throws', async () => {
    engine.once('rollback', () => {
      throw new RangeError('late');
    });
    const connection = await engine.connect();
    await connection.execute(insert('a'));
    expect(await failureOf(connection.rollback())).toBeInstanceOf(RangeError);
    await connection.execute(insert('b'));
    await connection.commit();
    await connection.close();
    expect(await items.names()).toEqual(['b']);
  });

  it('begins by itself again after a begin listener has thrown', async () => {
    engine.once('begin', () => {
      throw new RangeError('not now');
    });
    const connection = await engine.connect();
    expect(await failureOf(connection.execute(one))).toBeInstanceOf(RangeError);
    expect(connection.inTransaction()).toBe(false);
    await connection.execute(insert('a'));
    expect(connection.inTransaction()).toBe(true);
    await connection.close();
    expect(await items.names()).toEqual([]);
  });

  it('gives the connection back when an engineConnect listener throws', async () => {
    engine.once('engineConnect', () => {
      throw new RangeError('no');
    });
    expect(await failureOf(engine.connect())).toBeInstanceOf(RangeError);
    expect(engine.pool.checkedOut()).toBe(0);
  });

  it('tells of each attempt that is repeated', async () => {
    const attempts: number[] = [];
    engine.on('retry', ({ attempt }) => void attempts.push(attempt));
    let left = 2;
    await engine.transaction(
      () => {
        left -= 1;
        if (left >= 0) throw new SerializationFailureError('again', { sqlState: '40001' });
      },
      { retry: { retries: 3, baseDelay: 1 } },
    );
    expect(attempts).toEqual([1, 2]);
  });
});

describe('the pool', () => {
  const names = [
    'firstConnect',
    'connect',
    'checkout',
    'reset',
    'checkin',
    'close',
    'detach',
    'invalidate',
    'softInvalidate',
  ] as const;
  const recordPool = (): void => {
    for (const name of names) engine.on(name, () => void seen.push(name));
  };

  it('PO-07, PO-09, PO-10, PO-13 and PO-14: from the opening to the end', async () => {
    recordPool();
    await (await engine.rawConnection()).close();
    await (await engine.rawConnection()).close();
    await engine.dispose();
    await (await engine.rawConnection()).close();
    const cycle = ['checkout', 'reset', 'checkin'];
    expect(seen).toEqual([
      'firstConnect',
      'connect',
      ...cycle,
      ...cycle,
      'close',
      'firstConnect',
      'connect',
      ...cycle,
    ]);
  });

  it('PO-08: detach when it leaves the pool, reset and close when it is closed, and no return', async () => {
    const raw = await engine.rawConnection();
    recordPool();
    raw.detach();
    expect(seen).toEqual(['detach']);
    await raw.close();
    await raw.close();
    expect(seen).toEqual(['detach', 'reset', 'close']);
  });

  it.each([
    ['rollback', []],
    ['commit', [{ name: 'a' }]],
  ] as const)(
    'PO-08: what is open on a detached connection ends with %s, as poolResetOnReturn says',
    async (poolResetOnReturn, stored) => {
      const other = items.engine({ poolResetOnReturn });
      const raw = await other.rawConnection();
      const clean: boolean[] = [];
      other.on('reset', ({ isClean }) => void clean.push(isClean));
      raw.detach();
      await raw.session.execute([{ text: 'BEGIN' }], { text: "INSERT INTO item VALUES ('a')" });
      await raw.close();
      expect(clean).toEqual([false]);
      expect(await other.execute(text('SELECT name FROM item')).all()).toEqual(stored);
    },
  );

  it('PO-16: invalidate and softInvalidate have the cause', async () => {
    const causes: unknown[] = [];
    engine.on('invalidate', ({ cause }) => void causes.push(cause));
    engine.on('softInvalidate', ({ cause }) => void causes.push(cause));
    const cause = new RangeError('worn out');
    const raw = await engine.rawConnection();
    raw.invalidate(cause, true);
    raw.invalidate(cause);
    const other = await engine.rawConnection();
    other.invalidate();
    expect(causes).toEqual([cause, cause, undefined]);
  });

  it('tells of an invalidation, the end, and a return without a connection', async () => {
    const raw = await engine.rawConnection();
    recordPool();
    engine.on('checkin', ({ driverConnection }) => void seen.push(String(driverConnection)));
    raw.invalidate();
    expect(seen).toEqual(['invalidate', 'close', 'checkin', 'undefined']);
  });

  it('PO-19: a connect listener that throws fails the attempt and blocks nobody', async () => {
    let count = 0;
    engine.on('connect', () => {
      count += 1;
      if (count === 1) throw new RangeError('not this one');
    });
    expect(await failureOf(engine.execute(one))).toBeInstanceOf(RangeError);
    await engine.execute(one);
    expect([count, engine.pool.overflow()]).toEqual([2, 0]);
  });

  it('ends a connection that a checkout listener refuses, and lends the next one', async () => {
    await engine.execute(one);
    engine.once('checkout', () => {
      throw new RangeError('not this one');
    });
    expect(await failureOf(engine.execute(one))).toBeInstanceOf(RangeError);
    expect(await engine.scalar(one)).toBe(1);
    expect(engine.pool.checkedOut()).toBe(0);
  });

  it('reports what a listener of a return throws, and takes the connection back', async () => {
    const logger = new MemoryLogger();
    const other = items.engine({ logger });
    other.once('checkin', () => {
      throw new RangeError('in the way');
    });
    await other.execute(one);
    expect(logger.errors).toHaveLength(1);
    expect(other.pool.checkedIn()).toBe(1);
  });
});
