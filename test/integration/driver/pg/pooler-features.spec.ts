import assert from 'node:assert/strict';
import {
  ArgumentError,
  createAsyncEngine,
  QueryCanceledError,
  sql,
  text,
  type AsyncEngine,
  type AsyncEngineOptions,
} from 'nest-async-engine/engine';
import { asPool } from 'nest-async-engine/pg';
import { fromChannel } from 'nest-async-engine/rx';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../../lib/embedded/embedded-postgres.js';
import { LogLines } from '../../../support/doubles/log-lines.js';
import { failureOf } from '../../../support/items.js';
import { eventually } from '../../../support/process/barrier.js';
import { PgBouncer, pgbouncerVersion } from '../../../support/server/pgbouncer.js';
import { queryOnce } from '../../../support/server/postgres.js';

let server: EmbeddedPostgres;

/** The server and its standby behind a pooler each. */
interface Place {
  readonly url: string;
  readonly replicaUrl: string;
  readonly open: (options?: AsyncEngineOptions) => AsyncEngine;
}

const insert = text('INSERT INTO item (name) VALUES (:name)');
const tenant = text<{ tenant: string | null }>(
  `SELECT NULLIF(current_setting('app.tenant', TRUE), '') AS tenant`,
);
const names = async (): Promise<string[]> =>
  (await queryOnce<{ name: string }>(server.url, 'SELECT name FROM item ORDER BY name')).map(
    ({ name }) => name,
  );
const sets = (count: number) => Array.from({ length: count }, (_, index) => ({ name: `n${index}` }));

/** Listens to `channel`, has something sent to it, and gives what arrives. */
function heardOn(engine: AsyncEngine, channel: string, send: () => Promise<unknown>): Promise<string> {
  return new Promise((resolve, reject) => {
    const subscription = fromChannel(engine, channel, {
      onListen: () => void send().catch(reject),
    }).subscribe({
      next: ({ payload }) => {
        subscription.unsubscribe();
        resolve(payload);
      },
      error: reject,
    });
  });
}

/** Everything that works in each mode, whatever the pooler does with sessions. */
const FEATURES: Readonly<Record<string, (engine: AsyncEngine, place: Place) => Promise<unknown>>> = {
  'a transaction is stored as a whole': async (engine) => {
    await engine.transaction(() => engine.execute(insert, { name: 'a' }));
    const failing = engine.transaction(async () => {
      await engine.execute(insert, { name: 'b' });
      await engine.execute(insert, { name: 'a' });
    });
    expect(await failureOf(failing)).toMatchObject({ sqlState: '23505' });
    expect(await names()).toEqual(['a']);
  },
  'a savepoint undoes what failed in it alone': async (engine) => {
    await engine.transaction(async () => {
      await engine.execute(insert, { name: 'a' });
      await engine.transaction(() => engine.execute(insert, { name: 'a' })).catch(() => undefined);
      await engine.execute(insert, { name: 'b' });
    });
    expect(await names()).toEqual(['a', 'b']);
  },
  'settings hold for a transaction or a statement, and for nothing after it': async (engine) => {
    const settings = { 'app.tenant': 'red' };
    expect(await engine.transaction(() => engine.scalar(tenant), { settings })).toBe('red');
    expect(await engine.executionOptions({ settings }).scalar(tenant)).toBe('red');
    expect(await engine.scalar(tenant)).toBeNull();
  },
  'time-outs of the server hold for their transaction': async (engine) => {
    const shown = await engine.transaction(() => engine.scalar(sql`SHOW lock_timeout`), {
      lockTimeout: 4_321,
    });
    expect(shown).toBe('4321ms');
  },
  'an executemany is stored as a whole': async (engine) => {
    const failing = engine.execute(insert, [...sets(50), { name: 'n7' }]);
    expect(await failureOf(failing)).toMatchObject({ sqlState: '23505' });
    const update = text('UPDATE item SET name = :name || 1 / :left WHERE FALSE');
    const sets2 = [
      { name: 'a', left: 1 },
      { name: 'b', left: 0 },
    ];
    await engine.execute(update, sets2).catch(() => undefined);
    expect(await names()).toEqual([]);
    await engine.execute(insert, sets(2_500), { insertmanyvaluesPageSize: 1_000 });
    expect(await names()).toHaveLength(2_500);
  },
  'a batch is stored as a whole': async (engine) => {
    await using connection = await engine.connect();
    const failing = connection.batch([sql`INSERT INTO item VALUES ('a')`, sql`SELECT 1 / 0`]);
    expect(await failureOf(failing)).toMatchObject({ sqlState: '22012' });
    await connection.rollback();
    expect(await names()).toEqual([]);
    const results = await connection.batch([sql`INSERT INTO item VALUES ('a')`, sql`SELECT 2 AS n`]);
    expect(results[1]?.all()).toEqual([{ n: 2 }]);
    await connection.commit();
    expect(await names()).toEqual(['a']);
  },
  'a stream gives all rows, and its transaction takes other statements meanwhile': async (engine) => {
    await engine.transaction(async () => {
      let sum = 0;
      for await (const { n } of engine.stream<{ n: number }>(
        sql`SELECT n FROM generate_series(1, 5000) AS n`,
      )) {
        sum += n;
        if (n % 1_000 === 0) await engine.execute(insert, { name: `at ${n}` });
      }
      expect(sum).toBe(12_502_500);
    });
    expect(await names()).toHaveLength(5);
    for await (const row of engine.stream(sql`SELECT n FROM generate_series(1, 5000) AS n`)) {
      assert.ok(row);
      break;
    }
  },
  'COPY passes in both directions': async (engine) => {
    await engine.copyFrom('COPY item FROM STDIN', ['a\n', 'b\n']);
    expect(await failureOf(engine.copyFrom('COPY item FROM STDIN', 'a\n'))).toMatchObject({
      sqlState: '23505',
    });
    const rows = await engine.copyTo('COPY (TABLE item ORDER BY name) TO STDOUT').toArray();
    expect(Buffer.concat(rows).toString()).toBe('a\nb\n');
  },
  'exclusive work has its lock for a transaction': async (engine) => {
    const inner = await engine.exclusive('report', () => engine.exclusive('other', () => 1));
    expect(inner).toEqual({ ran: true, value: { ran: true, value: 1 } });
    expect(await queryOnce(server.url, `SELECT FROM pg_locks WHERE locktype = 'advisory'`)).toEqual([]);
  },
  'NOTIFY arrives where an engine listens to the server itself': async (engine) => {
    await using direct = createAsyncEngine(server.url);
    const send = () => engine.transaction(() => engine.execute(sql`SELECT pg_notify('news', 'x')`));
    expect(await heardOn(direct, 'news', send)).toBe('x');
  },
  'retry runs a transaction again': async (engine) => {
    let runs = 0;
    const work = async (): Promise<void> => {
      runs += 1;
      await engine.execute(insert, { name: `run ${runs}` });
      if (runs === 1) await engine.execute(text(`DO $$ BEGIN RAISE SQLSTATE '40001'; END $$`));
    };
    await engine.transaction(work, { retry: 2 });
    expect(await names()).toEqual(['run 2']);
  },
  'a statement whose time is over is cancelled, and its session works on': async (engine) => {
    const sleeping = engine.execute(sql`SELECT pg_sleep(60)`, undefined, { timeout: 200 });
    expect(await failureOf(sleeping)).toBeInstanceOf(QueryCanceledError);
    expect(await engine.scalar(sql`SELECT 1`)).toBe(1);
  },
  'the outcome of a COMMIT can be asked for': async (_, { open }) => {
    const engine = open({ commitOutcome: 'resolve' });
    await engine.transaction(() => engine.execute(insert, { name: 'a' }));
    expect(await names()).toEqual(['a']);
  },
  'a pool of pg over it works, in transactions too': async (engine) => {
    const pool = asPool(engine);
    const client = await pool.connect();
    await client.query('BEGIN');
    await client.query('INSERT INTO item VALUES ($1)', ['a']);
    await client.query('ROLLBACK');
    client.release();
    await engine.transaction(() => pool.query('INSERT INTO item VALUES ($1)', ['b']));
    expect(await names()).toEqual(['b']);
  },
  'reads go to a replica behind a pooler of its own': async (_, { open, replicaUrl }) => {
    const engine = open({ replicas: { url: [replicaUrl] } });
    const isStandby = sql`SELECT pg_is_in_recovery()`;
    await engine.execute(insert, { name: 'a' });
    // The first of them may come before the replica was examined.
    await eventually(async () => {
      expect(await engine.transaction(() => engine.scalar(isStandby), { readOnly: true })).toBe(true);
    });
    expect(await engine.transaction(() => engine.scalar(isStandby))).toBe(false);
  },
  'many at once get answers of their own': async (engine) => {
    const asked = Array.from({ length: 100 }, (_, index) => index);
    const got = await Promise.all(asked.map((n) => engine.scalar(sql`SELECT ${n}::int`)));
    expect(got).toEqual(asked);
  },
};

/** What needs a session of one's own: where there is none, it is refused by a sentence and nothing is sent. */
const SESSION_FEATURES: Readonly<
  Record<
    string,
    {
      run: (engine: AsyncEngine, place: Place) => Promise<unknown>;
      refusal: [new (...args: never[]) => Error, RegExp];
    }
  >
> = {
  LISTEN: {
    run: (engine) => heardOn(engine, 'news', () => queryOnce(server.url, `SELECT pg_notify('news', 'x')`)),
    refusal: [ArgumentError, /directEngine/],
  },
  'a lock of a session': {
    run: (engine) => engine.exclusive('report', () => 1, { scope: 'session' }),
    refusal: [ArgumentError, /pooler|pgbouncer/],
  },
  'settings of a session': {
    run: (_, { open }) => open({ settings: { 'app.tenant': 'red' } }).scalar(tenant),
    refusal: [ArgumentError, /app\.tenant would reach others/],
  },
  'a time-out of a session': {
    run: (_, { open }) => open({ statementTimeout: 5_000 }).scalar(sql`SHOW statement_timeout`),
    refusal: [ArgumentError, /statement_timeout would reach others/],
  },
};

describe.skipIf(pgbouncerVersion() === undefined)('behind PgBouncer (skipped without the program)', () => {
  beforeAll(async () => {
    server = await startEmbeddedPostgres({ replicas: 1 });
    await queryOnce(server.url, 'CREATE TABLE item (name text PRIMARY KEY)');
  }, 60_000);
  afterAll(() => server.stop());

  describe.each<[mode: string, options: AsyncEngineOptions]>([
    ['transaction', { pgbouncer: true }],
    ['session', { pgbouncer: true }],
    ['session', {}],
  ])('in %s mode with %o', (mode, options) => {
    const engines: AsyncEngine[] = [];
    const logger = new LogLines();
    let poolers: PgBouncer[];
    let place: Place;

    beforeAll(async () => {
      const settings = { pool_mode: mode, default_pool_size: '8' };
      const [replica] = server.replicas;
      poolers = await Promise.all(
        [server.url, replica?.url ?? ''].map((url) => PgBouncer.start(url, settings)),
      );
      place = {
        url: poolers[0]?.url ?? '',
        replicaUrl: poolers[1]?.url ?? '',
        open: (more) => {
          const engine = createAsyncEngine(place.url, {
            poolSize: 3,
            maxOverflow: 0,
            logger,
            ...options,
            ...more,
          });
          engines.push(engine);
          return engine;
        },
      };
    });
    afterAll(async () => {
      for (const pooler of poolers) await pooler[Symbol.asyncDispose]();
    });

    async function finish(): Promise<void> {
      for (const engine of engines.splice(0)) {
        await eventually(() => expect(engine.pool.checkedOut()).toBe(0));
        await engine.aclose();
      }
      await queryOnce(server.url, 'TRUNCATE item');
    }

    it.each(Object.entries(FEATURES))('%s', async (_, run) => {
      await run(place.open(), place);
      await finish();
      expect(logger.lines.filter(({ level }) => level !== 'log')).toEqual([]);
    });

    it.each(Object.entries(SESSION_FEATURES))('%s needs a session', async (_, { run, refusal }) => {
      const engine = place.open();
      const work = (async () => await run(engine, place))();
      if (options.pgbouncer === true) {
        const [type, sentence] = refusal;
        const failure = await failureOf(work);
        expect(failure).toBeInstanceOf(type);
        expect(String(failure)).toMatch(sentence);
        expect(engine.pool.checkedIn()).toBe(0);
      } else expect(await work).toBeTruthy();
      await finish();
    });
  });
});
