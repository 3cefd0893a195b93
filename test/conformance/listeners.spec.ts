import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  asyncEngineFromConfig,
  ConnectionLostError,
  createAsyncEngine,
  DBAPIError,
  InvalidRequestError,
  makeUrl,
  NullPool,
  OperationalError,
  QueuePool,
  StaticPool,
  text,
} from 'nest-async-engine/engine';
import type {
  AsyncEngine,
  AsyncEngineOptions,
  HandleErrorEvent,
  PoolClass,
  PoolOptions,
} from 'nest-async-engine/engine';
import { makeDriver } from '../../lib/engine/create-driver.js';
import { resolveEngineOptions } from '../../lib/engine/resolve-engine-options.js';
import { eventually, Latch } from '../support/process/barrier.js';
import { FakeDriver } from '../support/doubles/fake-driver.js';
import type { FakeSession } from '../support/doubles/fake-driver.js';
import { failureOf, insert, ItemDatabase } from '../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
let url: string;

beforeAll(async () => {
  items = await ItemDatabase.open('listeners');
  ({ url } = items.database);
});
beforeEach(() => {
  engine = items.engine();
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const one = text('SELECT 1');

describe('what an engine and a connection show', () => {
  it('AE-10: dialect and echo', () => {
    expect(engine.dialect).toBe(engine.dialect);
    expect(engine.dialect).toEqual({ name: 'postgresql', driver: 'pg' });
    expect(engine.echo).toBe(false);
  });

  it('AE-23: the dialect of its engine, and the server’s default level', async () => {
    await engine.connect(async (connection) => {
      expect(connection.engine).toBe(engine);
      expect(connection.dialect).toBe(engine.dialect);
      expect(await connection.defaultIsolationLevel).toBe('READ COMMITTED');
    });
  });

  it('TX-52: the default level whatever its own one is', async () => {
    await engine.connect(async (connection) => {
      await connection.executionOptions({ isolationLevel: 'SERIALIZABLE' });
      expect(await connection.defaultIsolationLevel).toBe('READ COMMITTED');
      expect(await connection.getIsolationLevel()).toBe('SERIALIZABLE');
    });
  });

  it('AE-51: echo, out of a configuration', () => {
    const settings = { 'database.url': url, 'database.echo': 'true' };
    expect(asyncEngineFromConfig(settings).echo).toBe(true);
  });
});

describe('a pool that is given as it is', () => {
  it.each([
    ['AE-29', QueuePool],
    ['AE-31', NullPool],
    ['AE-33', StaticPool],
  ] as const)('%s: ten connections at once over a %o', async (_, poolClass) => {
    const pool = new poolClass(makeDriver(makeUrl(url), resolveEngineOptions({})));
    const over = createAsyncEngine(url, { pool });
    const ask = () => over.connect((connection) => connection.scalar(one));
    expect(await Promise.all(Array.from({ length: 10 }, ask))).toEqual(Array.from({ length: 10 }, () => 1));
    expect([over.pool, over.pool.checkedOut()]).toEqual([pool, 0]);
    await over.aclose();
  });

  it.each([{ connect: () => undefined }, QueuePool, 'QueuePool'])(
    'AE-30 AE-32: and is no pool is refused: %o',
    (pool) => {
      const options: AsyncEngineOptions = { pool: pool as never };
      expect(() => createAsyncEngine(url, options)).toThrow(ArgumentError);
    },
  );
});

describe('asyncCreator', () => {
  const connected = async (): Promise<pg.Client> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return client;
  };

  it.each([{ asyncCreator: connected }, {}])('AE-52: creator is refused, beside %o', (beside) => {
    const options = { creator: connected, ...beside } as object;
    expect(() => createAsyncEngine(url, options)).toThrow(ArgumentError);
    expect(() => createAsyncEngine(url, options)).toThrow(/asyncCreator/);
  });

  it('AE-53: is called by the first checkout, once and without arguments', async () => {
    const calls: unknown[][] = [];
    const creating = items.engine({
      asyncCreator: (...given: unknown[]) => {
        calls.push(given);
        return connected();
      },
    });
    expect(calls).toEqual([]);
    expect(await creating.scalar(one)).toBe(1);
    expect(await creating.scalar(one)).toBe(1);
    expect(calls).toEqual([[]]);
  });

  it('AE-58: fails with the driver’s error in the engine’s words', async () => {
    const creating = items.engine({
      asyncCreator: async () => {
        const client = new pg.Client({ connectionString: url.replace(items.database.name, 'not_there') });
        await client.connect();
        return client;
      },
    });
    const failure = await failureOf(creating.connect());
    expect(failure).toBeInstanceOf(DBAPIError);
    expect((failure as DBAPIError).cause).toBeInstanceOf(pg.DatabaseError);
  });

  it('PU-16: connects in the place of the URL', async () => {
    const creating = items.engine({ asyncCreator: connected }, 'postgresql://nobody@127.0.0.1:1/none');
    expect(await creating.scalar(text('SELECT current_database()'))).toBe(items.database.name);
  });
});

describe('listeners', () => {
  it('AE-62: there are no events of a dialect', () => {
    expect(() => engine.on('doExecute' as 'begin', () => undefined)).toThrow(InvalidRequestError);
  });

  it('AE-63: one of the pool must not be async where nothing waits for it', () => {
    const listener = async (): Promise<void> => {};
    expect(() => engine.pool.on('checkout', listener as unknown as () => undefined)).toThrow(ArgumentError);
  });

  it.each(['beforeCursorExecute', 'afterCursorExecute'] as const)(
    'AE-67 AE-68: an AbortError of %s ends the session of a statement that commits itself',
    async (name) => {
      await engine.execute(one);
      const ended: unknown[] = [];
      engine.on('invalidate', ({ cause }) => void ended.push(cause));
      const abort = new DOMException('stopped', 'AbortError');
      engine.once(name, () => {
        throw abort;
      });
      expect(await failureOf(engine.execute(one))).toBe(abort);
      expect(ended).toEqual([abort]);
      expect(await engine.scalar(one)).toBe(1);
    },
  );

  it('keeps the session where a listener throws anything else', async () => {
    const ended: unknown[] = [];
    engine.on('invalidate', ({ cause }) => void ended.push(cause));
    engine.once('beforeCursorExecute', () => {
      throw new RangeError('no');
    });
    await failureOf(engine.execute(one));
    expect(ended).toEqual([]);
  });

  it('X-08: a COMMIT that a listener vetoes leaves nothing that a later commit could store', async () => {
    engine.once('commit', () => {
      throw new RangeError('veto');
    });
    await engine.connect(async (connection) => {
      const transaction = await connection.begin();
      await connection.execute(insert('a'));
      await expect(transaction.commit()).rejects.toThrow('veto');
      await transaction.rollback();
      expect(await connection.scalar(text('SELECT count(*)::int FROM item'))).toBe(0);
      await connection.commit();
    });
    expect(await items.names()).toEqual([]);
  });

  it('PO-46: reset comes behind the ROLLBACK of a connection, and in front of one that the pool must send', async () => {
    const order: unknown[] = [];
    engine.on('reset', ({ isClean }) => void order.push({ isClean }));
    engine.on('rollback', () => void order.push('ROLLBACK'));
    await engine.connect((connection) => connection.execute(one));
    const raw = await engine.rawConnection();
    await raw.session.execute([], { text: 'BEGIN' });
    await raw.close();
    expect(order).toEqual(['ROLLBACK', { isClean: true }, { isClean: false }]);
  });
});

describe('PO-20: firstConnect', () => {
  it('ends once before any other connection is ready', async () => {
    const wide = items.engine({ poolSize: 3, maxOverflow: 0 });
    const gate = new Latch();
    const order: string[] = [];
    wide.on('firstConnect', async () => {
      order.push('first begins');
      await gate.opened;
      order.push('first ends');
    });
    wide.on('connect', () => void order.push('connect'));
    const workers = Array.from({ length: 5 }, () => wide.connect((connection) => connection.scalar(one)));
    // All three sessions are open on the server, and nobody has got one.
    await eventually(async () => expect(await items.database.sessions()).toHaveLength(3));
    expect(order).toEqual(['first begins']);
    gate.open();
    await Promise.all(workers);
    expect(order).toEqual(['first begins', 'first ends', 'connect', 'connect', 'connect']);
  });

  it('is told again, by one that waited, when it has failed', async () => {
    const wide = items.engine({ poolSize: 2, maxOverflow: 0 });
    let calls = 0;
    wide.on('firstConnect', () => {
      calls += 1;
      if (calls === 1) throw new RangeError('not yet');
    });
    const outcomes = await Promise.allSettled([wide.execute(one), wide.execute(one)]);
    expect(outcomes.some(({ status }) => status === 'fulfilled')).toBe(true);
    expect(calls).toBe(2);
  });
});

describe('over a driver that fails as it is told', () => {
  let driver: FakeDriver;
  let told: HandleErrorEvent<unknown>[];
  const firstSession = (): FakeSession => driver.sessions[0] as FakeSession;

  async function open(options: PoolOptions = {}, poolClass: PoolClass = QueuePool): Promise<AsyncEngine> {
    driver = new FakeDriver();
    told = [];
    const over = createAsyncEngine('postgresql://fake', { pool: new poolClass(driver, options) });
    await (await over.rawConnection()).close();
    return over;
  }

  it('EX-13: an error that is not the driver’s passes as it is, and the session stays', async () => {
    const over = await open();
    const failure = new RangeError('not of the driver');
    firstSession().failures.set('SELECT 1', failure);
    over.on('handleError', (event) => void told.push(event));
    expect(await failureOf(over.execute(one))).toBe(failure);
    expect(told.map(({ isDisconnect }) => isDisconnect)).toEqual([false]);
    expect([driver.attempts, over.pool.checkedIn()]).toEqual([1, 1]);
    await over.aclose();
  });

  it('RC-21: a listener of handleError keeps a connection that would be given up', async () => {
    const over = await open();
    firstSession().failures.set('SELECT 1', new ConnectionLostError('x', { connectionInvalidated: true }));
    over.on('handleError', (event) => {
      event.isDisconnect = false;
    });
    await over.connect(async (connection) => {
      await failureOf(connection.execute(one));
      expect([connection.invalidated, firstSession().isOpen]).toEqual([false, true]);
    });
    await over.aclose();
  });

  describe('RC-24: a failed ping', () => {
    const failure = new OperationalError('no answer');

    it('is told as one, and the session is replaced in silence', async () => {
      const over = await open({ poolPrePing: true });
      firstSession().failures.set('', failure);
      over.on('handleError', ({ ...event }) => void told.push(event));
      await (await over.rawConnection()).close();
      expect(told).toMatchObject([{ isPrePing: true, isDisconnect: true, error: failure }]);
      expect([driver.attempts, firstSession().isOpen]).toEqual([2, false]);
      await over.aclose();
    });

    it.each([QueuePool, StaticPool])(
      'is thrown, as the listener wants it, where the listener calls it no disconnect: %o',
      async (poolClass: PoolClass) => {
        const over = await open({ poolPrePing: true }, poolClass);
        firstSession().failures.set('', failure);
        const replaced = new RangeError('replaced');
        over.once('handleError', (event) => {
          event.isDisconnect = false;
          return replaced;
        });
        expect(await failureOf(over.rawConnection())).toBe(replaced);
        expect([driver.attempts, firstSession().isOpen, over.pool.checkedOut()]).toEqual([1, false, 0]);
        await (await over.rawConnection()).close();
        await over.aclose();
      },
    );
  });

  it('a listener’s error takes the place of that of a ROLLBACK that fails', async () => {
    const over = await open();
    const failure = new OperationalError('no answer');
    const replaced = new RangeError('replaced');
    firstSession().failures.set('ROLLBACK', failure);
    over.on('handleError', ({ error }) => (error === failure ? replaced : undefined));
    await over.connect(async (connection) => {
      const transaction = await connection.begin();
      await connection.execute(one);
      expect(await failureOf(transaction.rollback())).toBe(replaced);
    });
    await over.aclose();
  });
});
