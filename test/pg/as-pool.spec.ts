import pg from 'pg';
import Cursor from 'pg-cursor';
import QueryStream from 'pg-query-stream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  createAsyncEngine,
  IllegalStateError,
  NestedScopeBusyError,
  ResourceClosedError,
  TransactionEndedError,
  UnexpectedRollbackError,
} from 'nest-async-engine/engine';
import type { AsyncEngine, AsyncEngineOptions } from 'nest-async-engine/engine';
import { asPool } from 'nest-async-engine/pg';
import { eventually } from '../support/process/barrier.js';
import { failureOf, insert, MemoryLogger, outcomeOf, ItemDatabase } from '../support/items.js';

const ADD_ONE = "INSERT INTO item (name) VALUES ('one')";
const ADD_TWO = "INSERT INTO item (name) VALUES ('two')";

let items: ItemDatabase;
let engine: AsyncEngine;
let pool: pg.Pool;
let logger: MemoryLogger;
beforeAll(async () => {
  items = await ItemDatabase.open('as_pool');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

function start(options: AsyncEngineOptions = {}): void {
  logger = new MemoryLogger();
  engine = items.engine({ logger, ...options });
  pool = asPool(engine);
}

/** Runs `work` with a client and releases it. */
async function withClient<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    return await work(client);
  } finally {
    client.release();
  }
}

describe('a pool of pg', () => {
  it('is one, and its clients are clients', async () => {
    start();
    expect(pool).toBeInstanceOf(pg.Pool);
    expect([pool.constructor.name, pg.Pool.name]).toEqual(['Pool', 'BoundPool']);
    await withClient(async (client) => {
      expect(client).toBeInstanceOf(pg.Client);
      expect(client.database).toBe(items.database.url.split('/').at(-1));
    });
  });

  it('leaves nothing at its connections, where one is made for each request', async () => {
    start({ poolSize: 1, maxOverflow: 0 });
    const watched = async () => {
      await asPool(engine).query('SELECT 1');
      const pooled = await engine.rawConnection();
      const client = pooled.driverConnection as pg.Client;
      const counts = [client.listenerCount('error'), client.listenerCount('end'), pooled.info.size];
      await pooled.close();
      return counts;
    };
    const first = await watched();
    for (let n = 0; n < 12; n += 1) expect(await watched()).toEqual(first);
  });

  it('refuses what is not an engine', () => {
    expect(() => asPool({} as never)).toThrow(ArgumentError);
  });

  it('answers as pg does: its values, its fields, its errors', async () => {
    start();
    const plain = new pg.Client(items.database.url);
    await plain.connect();
    const question = `SELECT 1::int8 AS big, 1.5::numeric AS n, DATE '2024-02-29' AS d, '{"a":1}'::jsonb AS j, 1 AS a, 2 AS a`;
    const [ours, theirs] = [await pool.query(question), await plain.query(question)];
    expect(ours).toEqual(theirs);
    expect(ours).toBeInstanceOf(pg.Result);
    const errors = [
      await failureOf(pool.query('SELECT nothing')),
      await failureOf(plain.query('SELECT nothing')),
    ];
    expect(errors[0]).toBeInstanceOf(pg.DatabaseError);
    expect({ ...(errors[0] as object) }).toEqual({ ...(errors[1] as object) });
    await plain.end();
  });

  it.each<[string, () => Promise<unknown>]>([
    ['a text', () => pool.query('SELECT 1 AS a')],
    ['values', () => pool.query('SELECT $1::int AS a', [1])],
    ['a config', () => pool.query({ text: 'SELECT $1::int AS a', values: [1] })],
    ['a named statement', () => pool.query({ name: 'one', text: 'SELECT $1::int AS a', values: [1] })],
    [
      'a callback',
      () => new Promise((resolve) => pool.query('SELECT 1 AS a', (_, result) => resolve(result))),
    ],
    [
      'values and a callback',
      () => new Promise((resolve) => pool.query('SELECT $1::int AS a', [1], (_, result) => resolve(result))),
    ],
    [
      'the callback of connect',
      () =>
        new Promise((resolve) =>
          pool.connect((_, client, done) => {
            void client?.query('SELECT 1 AS a').then((result) => {
              done();
              resolve(result);
            });
          }),
        ),
    ],
  ])('takes %s', async (_, ask) => {
    start();
    expect(await ask()).toMatchObject({ command: 'SELECT', rows: [{ a: 1 }] });
    await engine.transaction(async () => expect(await ask()).toMatchObject({ rows: [{ a: 1 }] }));
  });

  it('reads rows as arrays, by the types of the query, and gives an array for a script', async () => {
    start();
    const types = { getTypeParser: () => (value: string) => `<${value}>` };
    const { rows } = await pool.query({ text: 'SELECT 1, 2', rowMode: 'array', types: types as never });
    expect(rows).toEqual([['<1>', '<2>']]);
    const script = (await pool.query('SELECT 1 AS a; SELECT 2 AS a')) as unknown as pg.QueryResult[];
    expect(script.map((result) => result.rows)).toEqual([[{ a: 1 }], [{ a: 2 }]]);
  });

  it('writes nothing into the config that it is given, and reads its getters', async () => {
    start();
    class Statement {
      readonly #text = 'SELECT $1::int AS a';
      get text(): string {
        return this.#text;
      }
    }
    const config = Object.freeze(new Statement());
    for (const value of [1, 2]) expect((await pool.query(config, [value])).rows).toEqual([{ a: value }]);
  });

  it('gives a client the callback of a config, and the pool a promise', async () => {
    start();
    const told: unknown[] = [];
    const config = {
      text: 'SELECT 1 AS a',
      callback: (_: unknown, result: pg.QueryResult) => told.push(result.rows),
    };
    await withClient(async (client) => {
      expect(client.query(config as pg.QueryConfig)).toBeUndefined();
      await client.query('SELECT 1');
    });
    expect([(await pool.query(config)).rows, told]).toEqual([[{ a: 1 }], [[{ a: 1 }]]]);
  });

  it('tells a callback of the failure', async () => {
    start();
    const ask = (): Promise<unknown> =>
      new Promise((resolve) => pool.query('SELECT nothing', (error) => resolve(error)));
    expect(await ask()).toMatchObject({ code: '42703' });
    expect(await failureOf(pool.query({} as never))).toBeInstanceOf(ArgumentError);
  });

  it('keeps its connection when a statement fails', async () => {
    start();
    const pid = async (): Promise<unknown> => (await pool.query('SELECT pg_backend_pid() AS pid')).rows[0];
    const before = await pid();
    await failureOf(pool.query('SELECT nothing'));
    expect(await pid()).toEqual(before);
  });

  it('has the figures and options of the engine', async () => {
    start({ poolSize: 1, maxOverflow: 1, poolTimeout: 5_000 });
    expect(pool.options).toMatchObject({ max: 2, connectionTimeoutMillis: 5_000 });
    const figures = (): number[] => [pool.totalCount, pool.idleCount, pool.waitingCount, pool.expiredCount];
    expect(figures()).toEqual([0, 0, 0, 0]);
    const clients = await Promise.all([pool.connect(), pool.connect()]);
    const third = pool.connect();
    expect(figures()).toEqual([2, 0, 1, 0]);
    clients.forEach((client) => client.release());
    (await third).release();
    await eventually(async () => expect(figures()).toEqual([1, 1, 0, 0]));
  });

  it('tells of its clients', async () => {
    start();
    const told: string[] = [];
    for (const event of ['connect', 'acquire', 'release', 'remove', 'error'] as const) {
      pool.on(event, () => void told.push(event));
    }
    await pool.query('SELECT 1');
    await pool.query('SELECT 1');
    const client = await pool.connect();
    client.release(true);
    await eventually(async () => expect(told.at(-1)).toBe('remove'));
    expect(told.join(' ')).toBe('connect acquire release acquire release acquire release remove');
  });

  it('keeps what connect has set, and the listeners that it has added', async () => {
    start();
    const notices: (string | undefined)[] = [];
    pool.on('connect', (client) => {
      client.on('notice', ({ message }) => notices.push(message));
      void client.query("SET search_path TO 'elsewhere'");
    });
    for (const word of ['a', 'b']) {
      expect((await pool.query('SHOW search_path')).rows).toEqual([{ search_path: 'elsewhere' }]);
      await pool.query(`DO $$ BEGIN RAISE NOTICE '${word}'; END $$`);
    }
    expect(notices).toEqual(['a', 'b']);
  });

  it.each(['connect', 'acquire'] as const)(
    'gives back what a throwing listener of %s was told of',
    async (event) => {
      start();
      pool.once(event, () => {
        throw new RangeError('mine');
      });
      expect(await outcomeOf(pool.connect())).toBe(RangeError);
      expect(await outcomeOf(pool.query('SELECT 1'))).toBeUndefined();
    },
  );

  it('ends alone: the engine and other pools go on', async () => {
    start();
    await pool.end();
    expect([pool.ended, await outcomeOf(pool.query('SELECT 1'))]).toEqual([true, ResourceClosedError]);
    await new Promise<void>((resolve) => asPool(engine).end(resolve));
    expect(await engine.scalar({ text: 'SELECT 1 AS a' })).toBe(1);
  });

  it('is refused, in no time, as the creator of connections of this engine and of another one', async () => {
    start();
    const other = createAsyncEngine(items.database.url, { asyncCreator: () => pool.connect() });
    expect(await outcomeOf(other.scalar({ text: 'SELECT 1' }))).toBe(ArgumentError);
    await other.aclose();
    const own: { pool?: pg.Pool } = {};
    const circular = createAsyncEngine(items.database.url, {
      asyncCreator: () => (own.pool as pg.Pool).connect(),
    });
    own.pool = asPool(circular);
    expect(await outcomeOf(circular.scalar({ text: 'SELECT 1' }))).toBe(IllegalStateError);
    await circular.aclose();
  });
});

describe('a client', () => {
  it('has a session and transactions of its own', async () => {
    start({ poolSize: 2 });
    await withClient(async (client) => {
      await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE');
      await client.query(ADD_ONE);
      await client.query('SAVEPOINT a');
      expect(client.getTransactionStatus()).toBe('T');
      await failureOf(client.query(ADD_ONE));
      expect(await failureOf(client.query('SELECT 1'))).toMatchObject({ code: '25P02' });
      expect(client.getTransactionStatus()).toBe('E');
      await client.query('ROLLBACK TO a');
      expect(await items.names()).toEqual([]);
      await client.query('COMMIT');
      expect(client.getTransactionStatus()).toBe('I');
    });
    expect(await items.names()).toEqual(['one']);
  });

  it('that is released in a transaction is rolled back, and a warning names its place', async () => {
    start();
    const client = await pool.connect();
    await client.query('BEGIN');
    await client.query(ADD_ONE);
    client.release();
    await pool.query(ADD_TWO);
    expect(await items.names()).toEqual(['two']);
    expect(logger.warnings).toEqual([
      expect.stringMatching(/open transaction \(borrowed at .*as-pool\.spec\.ts/),
    ]);
  });

  it('leaves a clean session', async () => {
    start();
    await withClient(async (client) => {
      await client.query("SET search_path TO 'elsewhere'; SET app.tenant = 'red'");
      await client.query('LISTEN news; CREATE TEMP TABLE mine (id int)');
      await client.query('SELECT pg_advisory_lock(1), set_config($1, $2, false)', ['app.user', 'ada']);
      await client.query({ name: 'kept', text: 'SELECT $1::int AS a', values: [1] });
    });
    const { rows } = await pool.query(
      `SELECT current_setting('search_path') AS path, current_setting('app.tenant', true) AS tenant,
              current_setting('app.user', true) AS "user", to_regclass('mine') AS mine,
              (SELECT count(*)::int FROM pg_listening_channels()) AS channels,
              (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory') AS locks`,
    );
    expect(rows[0]).toEqual({
      path: '"$user", public',
      tenant: '',
      user: '',
      mine: null,
      channels: 0,
      locks: 0,
    });
    expect((await pool.query({ name: 'kept', text: 'SELECT $1::int AS a', values: [2] })).rows).toEqual([
      { a: 2 },
    ]);
  });

  it('knows a named statement again after the session has forgotten all', async () => {
    start();
    const ask = async (): Promise<unknown[]> =>
      (await pool.query({ name: 'kept', text: 'SELECT $1::int AS a', values: [1] })).rows;
    await ask();
    await withClient((client) => client.query('PREPARE mine AS SELECT 1'));
    expect(await ask()).toEqual([{ a: 1 }]);
  });

  it('is released once, and refuses what comes after', async () => {
    start();
    const client = await pool.connect();
    client.release();
    expect(() => client.release()).toThrow(/borrowed at .*as-pool\.spec\.ts.* released already/);
    expect(await outcomeOf(client.query('SELECT 1'))).toBe(ResourceClosedError);
    const error = await new Promise((resolve) => client.query('SELECT 1', resolve));
    expect(error).toBeInstanceOf(ResourceClosedError);
  });

  it('is ended by release(true), release(error) and end()', async () => {
    start();
    const pids = new Set<unknown>();
    for (const end of ['flag', 'error', 'end'] as const) {
      const client = await pool.connect();
      pids.add((await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid);
      if (end === 'end') await client.end();
      else client.release(end === 'flag' ? true : new Error('broken'));
    }
    expect(pids.size).toBe(3);
  });

  it('runs its statements in the order of the calls', async () => {
    start();
    await withClient(async (client) => {
      const answers = await Promise.all(
        ['BEGIN', ADD_ONE, 'ROLLBACK', ADD_TWO].map((sql) => client.query(sql)),
      );
      expect(answers.map(({ command }) => command)).toEqual(['BEGIN', 'INSERT', 'ROLLBACK', 'INSERT']);
    });
    expect(await items.names()).toEqual(['two']);
  });

  it('tells of notices and notifications, and stops with its release', async () => {
    start();
    const told: unknown[] = [];
    const client = await pool.connect();
    client.on('notification', ({ payload }) => told.push(payload));
    client.on('notice', ({ message }) => told.push(message));
    await client.query("LISTEN news; NOTIFY news, 'first'");
    await client.query("DO $$ BEGIN RAISE NOTICE 'noted'; END $$");
    client.release();
    await pool.query("LISTEN news; NOTIFY news, 'second'");
    expect(told).toEqual(['first', 'noted']);
  });

  it('tells of the loss of its connection and ends nothing else', async () => {
    start();
    const client = await pool.connect();
    const lost = new Promise((resolve) => client.once('error', resolve));
    const { rows } = await client.query('SELECT pg_backend_pid() AS pid');
    await items.database.query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
    expect(await lost).toMatchObject({ code: '57P01' });
    expect(await failureOf(client.query('SELECT 1'))).toBeInstanceOf(Error);
    client.release();
    expect((await pool.query('SELECT 1 AS a')).rows).toEqual([{ a: 1 }]);
  });

  it('reads by a cursor and a stream', async () => {
    start();
    await withClient(async (client) => {
      const cursor = client.query(new Cursor('SELECT n FROM generate_series(1, 5) n'));
      expect(await cursor.read(2)).toEqual([{ n: 1 }, { n: 2 }]);
      await cursor.close();
      const seen: unknown[] = [];
      for await (const row of client.query(new QueryStream('SELECT n FROM generate_series(1, 3) n')))
        seen.push(row);
      expect(seen).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    });
    const rows: unknown[] = [];
    for await (const row of pool.query(new QueryStream('SELECT 1 AS n'))) rows.push(row);
    expect(rows).toEqual([{ n: 1 }]);
  });

  it('that is released with an open cursor keeps nobody waiting', async () => {
    start({ poolTimeout: 2_000 });
    const client = await pool.connect();
    const cursor = client.query(new Cursor('SELECT n FROM generate_series(1, 5) n'));
    await cursor.read(1);
    client.release();
    expect((await pool.query('SELECT 1 AS a')).rows).toEqual([{ a: 1 }]);
  });
});

describe('in a transaction of the engine', () => {
  it.each(['commit', 'rollback'] as const)('what a tool stores is part of its %s', async (end) => {
    start();
    const work = engine.transaction(async () => {
      await pool.query(ADD_ONE);
      await withClient(async (client) => {
        await client.query('BEGIN');
        await client.query(ADD_TWO);
        await client.query('COMMIT');
      });
      await engine.execute(insert('three'));
      expect([engine.pool.checkedOut(), await items.names()]).toEqual([1, []]);
      if (end === 'rollback') throw new RangeError('mine');
    });
    expect(await outcomeOf(work)).toBe(end === 'rollback' ? RangeError : undefined);
    expect(await items.names()).toEqual(end === 'rollback' ? [] : ['one', 'three', 'two']);
  });

  it('ROLLBACK undoes what came after BEGIN, and nothing else', async () => {
    start();
    await engine.transaction(async () => {
      await withClient(async (client) => {
        await client.query(ADD_ONE);
        await client.query('START TRANSACTION');
        await client.query(ADD_TWO);
        await client.query('ROLLBACK');
        await client.query("INSERT INTO item (name) VALUES ('three')");
      });
    });
    expect(await items.names()).toEqual(['one', 'three']);
  });

  it('savepoints nest', async () => {
    start();
    await engine.transaction(async () => {
      await withClient(async (client) => {
        for (const sql of [
          'BEGIN',
          'SAVEPOINT a',
          ADD_ONE,
          'SAVEPOINT "B b"',
          ADD_TWO,
          'ROLLBACK TO SAVEPOINT "B b"',
          "INSERT INTO item (name) VALUES ('three')",
          'SAVEPOINT A',
          "INSERT INTO item (name) VALUES ('four')",
          'ROLLBACK TO a',
          'RELEASE a',
          'RELEASE SAVEPOINT a',
          'COMMIT',
        ])
          await client.query(sql);
      });
    });
    expect(await items.names()).toEqual(['one', 'three']);
  });

  it('a failed statement is undone by ROLLBACK TO, and the rest is kept', async () => {
    start();
    await engine.transaction(async () => {
      await withClient(async (client) => {
        await client.query('BEGIN');
        await client.query(ADD_ONE);
        await client.query('SAVEPOINT a');
        expect(await failureOf(client.query(ADD_ONE))).toMatchObject({ code: '23505' });
        expect(await failureOf(client.query('SELECT 1'))).toMatchObject({ code: '25P02' });
        expect(client.getTransactionStatus()).toBe('E');
        expect(await failureOf(client.query('RELEASE a'))).toMatchObject({ code: '25P02' });
        await client.query('ROLLBACK TO a');
        await client.query(ADD_TWO);
        await client.query('COMMIT');
      });
    });
    expect(await items.names()).toEqual(['one', 'two']);
  });

  it('COMMIT behind a failed statement says that nothing is stored, and the transaction goes on', async () => {
    start();
    await engine.transaction(async () => {
      await engine.execute(insert('zero'));
      await withClient(async (client) => {
        await client.query('BEGIN');
        await client.query(ADD_ONE);
        await failureOf(client.query(ADD_ONE));
        expect(await outcomeOf(client.query('COMMIT'))).toBe(UnexpectedRollbackError);
        await client.query('ROLLBACK');
      });
    });
    expect(await items.names()).toEqual(['zero']);
  });

  it('a failed statement outside of BEGIN fails the transaction', async () => {
    start();
    const work = engine.transaction(async () => {
      await pool.query(ADD_ONE);
      await failureOf(pool.query(ADD_ONE));
    });
    expect(await outcomeOf(work)).toBe(UnexpectedRollbackError);
    expect(await items.names()).toEqual([]);
  });

  it('COMMIT and ROLLBACK without BEGIN leave it alone and are noted, as pg has it', async () => {
    start();
    const notices: unknown[] = [];
    await engine.transaction(async () => {
      await pool.query(ADD_ONE);
      await withClient(async (client) => {
        client.on('notice', ({ code }) => notices.push(code));
        for (const sql of ['COMMIT', 'ROLLBACK', 'BEGIN', 'BEGIN', 'COMMIT']) await client.query(sql);
      });
    });
    expect([await items.names(), notices]).toEqual([['one'], ['25P01', '25P01', '25001']]);
  });

  it('AND CHAIN begins the next, and scripts hold their own BEGIN and COMMIT', async () => {
    start();
    await engine.transaction(async () => {
      await withClient(async (client) => {
        await client.query('BEGIN');
        await client.query(ADD_ONE);
        await client.query('COMMIT AND CHAIN');
        await client.query(ADD_TWO);
        await client.query('ROLLBACK');
        const script = `BEGIN; INSERT INTO item (name) VALUES ('x'); SELECT 1 AS a; ROLLBACK; BEGIN; INSERT INTO item (name) VALUES ('y'); COMMIT`;
        const results = (await client.query(script)) as unknown as pg.QueryResult[];
        expect(results.map(({ command }) => command)).toEqual(
          'BEGIN INSERT SELECT ROLLBACK BEGIN INSERT COMMIT'.split(' '),
        );
      });
    });
    expect(await items.names()).toEqual(['one', 'y']);
  });

  it.each([
    ["PREPARE TRANSACTION 'a'", IllegalStateError],
    ['BEGIN ISOLATION LEVEL SERIALIZABLE', undefined],
  ] as const)('%s', async (sql, outcome) => {
    start();
    await engine.transaction(
      async () => {
        await withClient(async (client) => {
          expect(await outcomeOf(client.query(sql))).toBe(outcome);
          await client.query('SELECT 1');
          await client.query('ROLLBACK');
        });
      },
      { isolationLevel: 'SERIALIZABLE' },
    );
  });

  it('BEGIN with another isolation level is refused', async () => {
    start();
    await engine.transaction(
      () =>
        withClient(async (client) =>
          expect(await outcomeOf(client.query('begin isolation level serializable'))).toBe(IllegalStateError),
        ),
      { isolationLevel: 'READ COMMITTED' },
    );
  });

  it('a client that is released in its BEGIN is undone alone, and a warning names its place', async () => {
    start();
    await engine.transaction(async () => {
      await pool.query(ADD_ONE);
      const client = await pool.connect();
      await client.query('BEGIN');
      await client.query(ADD_TWO);
      client.release();
      await pool.query("INSERT INTO item (name) VALUES ('three')");
    });
    expect(await items.names()).toEqual(['one', 'three']);
    expect(logger.warnings).toEqual([
      expect.stringMatching(/open transaction \(borrowed at .*as-pool\.spec\.ts/),
    ]);
  });

  it('what a client has left open at the end is undone', async () => {
    start();
    let late: pg.PoolClient | undefined;
    await engine.transaction(async () => {
      await pool.query(ADD_ONE);
      late = await pool.connect();
      await late.query('BEGIN');
      await late.query(ADD_TWO);
    });
    expect(await items.names()).toEqual(['one']);
    expect(await outcomeOf((late as pg.PoolClient).query('SELECT 1'))).toBe(TransactionEndedError);
    (late as pg.PoolClient).release();
  });

  it('a broken client does not end it', async () => {
    start();
    await engine.transaction(async () => {
      await pool.query(ADD_ONE);
      const client = await pool.connect();
      client.release(new Error('broken'));
      await (await pool.connect()).end();
      await pool.query(ADD_TWO);
    });
    expect(await items.names()).toEqual(['one', 'two']);
  });

  it('clients take turns: a statement beside a BEGIN waits for its COMMIT', async () => {
    start();
    const transact = async (name: string): Promise<void> =>
      await withClient(async (client) => {
        await client.query('BEGIN');
        await client.query('INSERT INTO item (name) VALUES ($1)', [name]);
        await client.query('SELECT pg_sleep(0.01)');
        await client.query(name === 'b' ? 'ROLLBACK' : 'COMMIT');
      });
    await engine.transaction(async () => {
      await Promise.all([
        transact('a'),
        transact('b'),
        pool.query(ADD_ONE),
        transact('c'),
        engine.execute(insert('two')),
      ]);
    });
    expect(await items.names()).toEqual(['a', 'c', 'one', 'two']);
  });

  it('a wait for oneself is broken', async () => {
    start({ nestedWaitTimeout: 50 });
    const work = engine.transaction(() =>
      withClient(async (client) => {
        await client.query('BEGIN');
        await client.query(ADD_ONE);
        await pool.query(ADD_TWO);
      }),
    );
    expect(await outcomeOf(work)).toBe(NestedScopeBusyError);
    expect(await items.names()).toEqual([]);
  });

  it('a statement in the read loop of a cursor is refused once nothing moves, and the loop goes on', async () => {
    start({ nestedWaitTimeout: 200 });
    const seen: unknown[] = [];
    await engine.transaction(async () => {
      await withClient(async (client) => {
        const cursor = client.query(new Cursor('SELECT n FROM generate_series(1, 3) n'));
        for (let rows = await cursor.read(1); rows.length > 0; rows = await cursor.read(1)) {
          seen.push(rows[0].n);
          expect(await failureOf(pool.query(ADD_ONE))).toBeInstanceOf(NestedScopeBusyError);
          expect(await failureOf(engine.execute(insert('two')))).toBeInstanceOf(NestedScopeBusyError);
        }
      });
      await engine.execute(insert('three'));
    });
    expect(seen).toEqual([1, 2, 3]);
    expect(await items.names()).toEqual(['three']);
  });

  it('reads by a cursor and a stream', async () => {
    start();
    await engine.transaction(async () => {
      await engine.execute(insert('one'));
      await withClient(async (client) => {
        const cursor = client.query(new Cursor('SELECT name FROM item'));
        expect(await cursor.read(2)).toEqual([{ name: 'one' }]);
        await cursor.close();
        for await (const row of client.query(new QueryStream('SELECT name FROM item')))
          expect(row).toEqual({ name: 'one' });
      });
      await engine.execute(insert('two'));
    });
    expect(await items.names()).toEqual(['one', 'two']);
  });

  it.each(['released', 'forgotten'])('an open cursor of a client that is %s ends with it', async (way) => {
    start();
    let client: pg.PoolClient | undefined;
    await engine.transaction(async () => {
      await engine.execute(insert('one'));
      client = await pool.connect();
      const cursor = client.query(new Cursor('SELECT n FROM generate_series(1, 5) n'));
      expect(await cursor.read(1)).toEqual([{ n: 1 }]);
      if (way === 'forgotten') return;
      client.release();
      await engine.execute(insert('two'));
    });
    if (way === 'forgotten') client?.release();
    expect(await items.names()).toEqual(way === 'forgotten' ? ['one'] : ['one', 'two']);
  });

  it('control as a query object of pg is refused', async () => {
    start();
    await engine.transaction(async () => {
      await pool.query(ADD_ONE);
      const error = await new Promise((resolve) => pool.query(new pg.Query('COMMIT', resolve as never)));
      expect(error).toBeInstanceOf(ArgumentError);
    });
    expect(await items.names()).toEqual(['one']);
  });

  it('nothing is taken and nothing is sent where nothing is asked', async () => {
    start();
    await engine.transaction(async () => expect(engine.pool.checkedOut()).toBe(0));
  });

  it('nested transactions and scopes of the engine count', async () => {
    start();
    await engine.scope(async () => {
      await engine.transaction(async () => {
        await pool.query(ADD_ONE);
        await failureOf(
          engine.transaction(async () => {
            await pool.query(ADD_TWO);
            throw new Error('undone');
          }),
        );
      });
    });
    expect(await items.names()).toEqual(['one']);
  });
});

describe('with 300 callers', () => {
  it('nothing is left on loan and nothing crosses', async () => {
    start({ poolSize: 5, maxOverflow: 0, poolMaxWaiting: 1_000, poolTimeout: 20_000 });
    const work = async (index: number): Promise<string> => {
      const name = `n${index}`;
      const store = async (): Promise<void> =>
        await withClient(async (client) => {
          await client.query('BEGIN');
          await client.query('INSERT INTO item (name) VALUES ($1)', [name]);
          const { rows } = await client.query(
            'SELECT name FROM item WHERE name NOT IN ($1) AND xmin::text = pg_current_xact_id()::text',
            [name],
          );
          expect(rows).toEqual([]);
          await client.query(index % 3 === 0 ? 'ROLLBACK' : 'COMMIT');
        });
      if (index % 2 === 0) await store();
      else {
        await engine
          .transaction(async () => {
            await store();
            if (index % 5 === 0) throw new Error('undone');
          })
          .catch(() => undefined);
      }
      return name;
    };
    const names = await Promise.all(Array.from({ length: 300 }, (_, index) => work(index)));
    const kept = names.filter((_, index) => index % 3 !== 0 && !(index % 2 === 1 && index % 5 === 0));
    expect(await items.names()).toEqual([...kept].sort());
  });
});
