import assert from 'node:assert/strict';
import {
  CommitLostError,
  CommitOutcomeUnknownError,
  createAsyncEngine,
  sql,
  type AsyncEngine,
  type AsyncEngineOptions,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../lib/embedded/embedded-postgres.js';
import { MortalServer } from '../../chaos/mortal-server.js';
import { failureOf, MemoryLogger } from '../../support/items.js';
import { eventually } from '../../support/process/barrier.js';
import { startFaultyProxy, type FaultyProxy } from '../../support/server/faulty-proxy.js';
import { PgBouncer, pgbouncerVersion } from '../../support/server/pgbouncer.js';
import { queryOnce } from '../../support/server/postgres.js';
import { freezeServer, killServer, promote, reconfigure } from '../../support/server/standby.js';
import { storedNames } from '../../support/process/outcome.js';
import { isCommit } from '../../support/server/wire-fault.js';

type Speaker = 'client' | 'server';

let server: MortalServer;
let engine: AsyncEngine;

const open = (url: string, options: AsyncEngineOptions = {}): AsyncEngine =>
  createAsyncEngine(url, {
    commitOutcome: 'resolve',
    poolSize: 2,
    maxOverflow: 0,
    logger: new MemoryLogger(),
    ...options,
  });

const save = (name: string, on = engine) => on.execute(sql`INSERT INTO item VALUES (${name})`);

beforeAll(async () => {
  // The log is written at a commit and no earlier, so that a crash loses what was not committed.
  server = await MortalServer.start({ wal_writer_delay: '10s', wal_writer_flush_after: '100MB' });
  await server.query('CREATE TABLE item (name text PRIMARY KEY)');
}, 60_000);
beforeEach(() => {
  engine = open(server.url);
});
afterEach(async () => {
  server.proxy.resume();
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
  await server.query('TRUNCATE item');
});
afterAll(() => server[Symbol.asyncDispose]());

describe('a server that dies during COMMIT', () => {
  /** Starts a transaction, and has the server die when its COMMIT passes. Nothing reaches it until `resume()`. */
  async function crash(from: Speaker): Promise<{ readonly work: Promise<unknown>; readonly id: string }> {
    const held = server.proxy.holdWhen(isCommit(from));
    let id = '';
    const work = engine.transaction(async () => {
      await save('a');
      id = (await engine.scalar<string>(sql`SELECT pg_current_xact_id_if_assigned()::text`)) ?? '';
    });
    work.catch(() => undefined);
    await held;
    server.proxy.stall();
    await server.deaths(1, () => 0)();
    return { work, id };
  }

  /** A transaction of another program, which gets the id that was handed out before the crash. */
  async function handOutAgain(id: string): Promise<void> {
    const rows = await server.query<{ id: string }>(
      `INSERT INTO item VALUES ('other') RETURNING pg_current_xact_id()::text AS id`,
    );
    expect(rows).toEqual([{ id }]);
  }

  it('behind it has stored the data, and the call resolves', async () => {
    const { work } = await crash('server');
    server.proxy.resume();
    await work;
    expect(await storedNames(server, 'item')).toEqual(['a']);
  });

  it('before it has stored nothing', async () => {
    const { work } = await crash('client');
    server.proxy.resume();
    expect(await failureOf(work)).toBeInstanceOf(CommitLostError);
    expect(await storedNames(server, 'item')).toEqual([]);
  });

  it('before it has stored nothing, although another transaction with the same id is committed', async () => {
    const { work, id } = await crash('client');
    await handOutAgain(id);
    server.proxy.resume();
    expect(await failureOf(work)).toBeInstanceOf(CommitLostError);
    expect(await storedNames(server, 'item')).toEqual(['other']);
  });

  it('leaves it unknown once nothing tells the two transactions apart', async () => {
    const { work, id } = await crash('client');
    await handOutAgain(id);
    await server.query('CHECKPOINT');
    server.proxy.resume();
    const failure = await failureOf(work);
    expect(failure).toBeInstanceOf(CommitOutcomeUnknownError);
    expect(failure).toMatchObject({ transactionId: id });
  });

  it('with one of its processes alone counts as well', async () => {
    const held = server.proxy.holdWhen(isCommit('client'));
    const work = engine.transaction(() => save('a'));
    work.catch(() => undefined);
    await held;
    server.proxy.stall();
    const [row] = await server.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE backend_xid IS NOT NULL`,
    );
    assert(row !== undefined);
    process.kill(row.pid, 'SIGKILL');
    await eventually(() => server.query('SELECT 1'), 30_000);
    await server.query(`INSERT INTO item VALUES ('other')`);
    server.proxy.resume();
    expect(await failureOf(work)).toBeInstanceOf(CommitLostError);
    expect(await storedNames(server, 'item')).toEqual(['other']);
  });
});

describe('a COMMIT that waits for a standby', () => {
  const wait = (standbys: string): Promise<unknown> =>
    server
      .query(`ALTER SYSTEM SET synchronous_standby_names = '${standbys}'`)
      .then(() => server.query('SELECT pg_reload_conf()'));

  /** Cuts the connection of a COMMIT that waits. */
  async function cutWaiting(on: AsyncEngine): Promise<{ readonly work: Promise<unknown> }> {
    await wait('nobody');
    const work = on.transaction(() => save('a', on));
    work.catch(() => undefined);
    await eventually(async () => expect(await waiting()).toHaveLength(1));
    server.proxy.cut();
    return { work };
  }
  const waiting = (): Promise<unknown[]> =>
    server.query(`SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'`);

  afterEach(async () => {
    await wait('');
    await eventually(async () => expect(await waiting()).toEqual([]));
  });

  it('is left alone, and is unknown after commitTimeout', async () => {
    await using impatient = open(server.url, { commitTimeout: 1_000 });
    const { work } = await cutWaiting(impatient);
    const failure = await failureOf(work);
    expect(failure).toBeInstanceOf(CommitOutcomeUnknownError);
    expect(failure).toMatchObject({ transactionId: expect.stringMatching(/^\d+$/) });
    expect(await waiting()).toHaveLength(1);
    expect(await storedNames(server, 'item')).toEqual([]);
  });

  it('has succeeded when the standby answers in time', async () => {
    const { work } = await cutWaiting(engine);
    await eventually(() => expect(engine.pool.checkedOut()).toBe(0));
    await wait('');
    await work;
    expect(await storedNames(server, 'item')).toEqual(['a']);
  });
});

describe('a COMMIT that its standby has not confirmed', () => {
  let primary: EmbeddedPostgres;
  let standby: EmbeddedPostgres;
  let proxy: FaultyProxy;

  beforeAll(async () => {
    primary = await startEmbeddedPostgres({ replicas: 1, settings: { synchronous_commit: 'on' } });
    [standby] = primary.replicas as [EmbeddedPostgres];
    await queryOnce(primary.url, 'CREATE TABLE item (name text PRIMARY KEY)');
    await reconfigure(primary, { synchronous_standby_names: 'replica_1' });
    proxy = await startFaultyProxy(primary.url);
  }, 60_000);
  afterAll(async () => {
    await proxy.close();
    await primary.stop();
    await standby.stop();
  });

  const onBoth = (options: AsyncEngineOptions = {}): AsyncEngine => {
    const url = new URL(proxy.url);
    const hosts = `${url.host},${standby.host}:${standby.port}`;
    return open(
      `postgresql://postgres:${url.password}@${hosts}/postgres?target_session_attrs=primary`,
      options,
    );
  };
  /** Cuts the connection of a COMMIT that waits for the standby. */
  async function cutUnconfirmed(on: AsyncEngine): Promise<{ readonly work: Promise<unknown> }> {
    const work = on.transaction(() => save('a', on));
    work.catch(() => undefined);
    await eventually(async () => {
      const waiting = "SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
      expect(await queryOnce(primary.url, waiting)).toHaveLength(1);
    });
    proxy.cut();
    return { work };
  }
  const stored = (on: EmbeddedPostgres): Promise<unknown[]> => queryOnce(on.url, 'SELECT name FROM item');

  it('has succeeded when the standby goes on', async () => {
    await using shop = onBoth();
    const thaw = await freezeServer(standby);
    try {
      const { work } = await cutUnconfirmed(shop);
      thaw();
      await work;
      expect(await stored(primary)).toEqual([{ name: 'a' }]);
    } finally {
      thaw();
    }
    await queryOnce(primary.url, 'TRUNCATE item');
  });

  it('is unknown when the standby takes over without it, whatever the new server says', async () => {
    await using shop = onBoth();
    await reconfigure(standby, { primary_conninfo: '' });
    await eventually(async () =>
      expect(await queryOnce(primary.url, 'SELECT FROM pg_stat_replication')).toEqual([]),
    );
    const { work } = await cutUnconfirmed(shop);
    await killServer(primary);
    await promote(standby);
    // It hands out the same ids.
    for (const name of ['b', 'c']) await queryOnce(standby.url, `INSERT INTO item VALUES ('${name}')`);
    const failure = await failureOf(work);
    expect(failure).toBeInstanceOf(CommitOutcomeUnknownError);
    expect(failure).toMatchObject({ transactionId: expect.stringMatching(/^\d+$/) });
    expect(await stored(standby)).not.toContainEqual({ name: 'a' });
  });
});

describe.skipIf(pgbouncerVersion() === undefined)('behind PgBouncer (skipped without the program)', () => {
  it.each([{ pgbouncer: true }, { pgbouncer: false }])(
    'each transaction says on which process of the server it is: %o',
    async (options) => {
      await using pooler = await PgBouncer.start(server.directUrl, { default_pool_size: '2' });
      await using proxy = await startFaultyProxy(pooler.url);
      await using pooled = open(proxy.url, options);
      await pooled.transaction(() => save('warm', pooled));
      for (const from of ['server', 'client'] as const) {
        const held = proxy.holdWhen(isCommit(from));
        const work = pooled.transaction(() => save(from, pooled));
        work.catch(() => undefined);
        await held;
        proxy.cut();
        if (from === 'server') await work;
        else expect(await failureOf(work)).toBeInstanceOf(CommitLostError);
      }
      expect(await storedNames(server, 'item')).toEqual(['server', 'warm']);
    },
  );
});
