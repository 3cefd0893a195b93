import { createAsyncEngine, text } from 'nest-async-engine/engine';
import type { AsyncEngine, AsyncEngineOptions, PooledConnection } from 'nest-async-engine/engine';
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { changesOf } from '../../../lib/engine/driver/session-changes.js';
import { startFaultyProxy, type FaultyProxy } from '../../support/server/faulty-proxy.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';
import { TestEngines } from '../../support/test-engines.js';

let database: TestDatabase;
let proxy: FaultyProxy;
const engines = new TestEngines();

/** One session, so that the next borrower gets what the former left. */
function engineWith(options: AsyncEngineOptions = {}): AsyncEngine {
  return engines.add(createAsyncEngine(proxy.url, { poolSize: 1, maxOverflow: 0, ...options }));
}

const processOf = async (engine: AsyncEngine) => {
  await using pooled = await engine.rawConnection();
  return pooled.session.processId;
};

beforeAll(async () => {
  database = await createDatabase('reset');
  await database.query('CREATE ROLE reset_reader; GRANT reset_reader TO CURRENT_USER; CREATE SCHEMA other');
});
beforeEach(async () => {
  proxy = await startFaultyProxy(database.url);
});
afterEach(async () => {
  await engines.end();
  await proxy[Symbol.asyncDispose]();
});
afterAll(async () => {
  await database.query('REVOKE reset_reader FROM CURRENT_USER; DROP ROLE reset_reader');
  await database.drop();
});

/** What a borrower does, and the question whose answer must be what it was before. */
const leftovers: readonly (readonly [string, string, string])[] = [
  ['SET', "SET search_path = 'other'", 'SHOW search_path'],
  ['SET of a setting that is not reported', 'SET work_mem = 123456', 'SHOW work_mem'],
  [
    'SET behind a comment',
    "/* tenant */ SET app.tenant = 'red'",
    "SELECT nullif(current_setting('app.tenant', true), '')",
  ],
  [
    'SET SESSION CHARACTERISTICS',
    'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
    'SHOW transaction_read_only',
  ],
  ['SET TIME ZONE', "SET TIME ZONE 'Asia/Tokyo'", 'SHOW TimeZone'],
  ['SET ROLE', 'SET ROLE reset_reader', 'SELECT current_user::text'],
  ['SET SESSION AUTHORIZATION', 'SET SESSION AUTHORIZATION reset_reader', 'SELECT session_user::text'],
  [
    'set_config(…, false)',
    "SELECT set_config('app.tenant', 'red', false)",
    "SELECT nullif(current_setting('app.tenant', true), '')",
  ],
  [
    'set_config whose last argument is not written out',
    "SELECT set_config('app.tenant', 'red', 1 = 2)",
    "SELECT nullif(current_setting('app.tenant', true), '')",
  ],
  [
    'set_config in a DO block',
    "DO $$ BEGIN PERFORM set_config('work_mem', '77777', false); END $$",
    'SHOW work_mem',
  ],
  ['LISTEN', 'LISTEN news', 'SELECT count(*)::int FROM pg_listening_channels()'],
  [
    'PREPARE',
    'PREPARE mine AS SELECT 1',
    "SELECT count(*)::int FROM pg_prepared_statements WHERE name = 'mine'",
  ],
  [
    'a held cursor',
    'DECLARE mine CURSOR WITH HOLD FOR SELECT 1',
    'SELECT count(*)::int FROM pg_cursors WHERE is_holdable',
  ],
  ['CREATE TEMP TABLE', 'CREATE TEMP TABLE mine (a int)', "SELECT to_regclass('pg_temp.mine')::text"],
  ['SELECT INTO TEMPORARY', 'SELECT 1 AS a INTO TEMPORARY mine', "SELECT to_regclass('pg_temp.mine')::text"],
  [
    'pg_advisory_lock',
    'SELECT pg_advisory_lock(7)',
    "SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
  ],
  [
    'pg_try_advisory_lock_shared',
    'SELECT pg_try_advisory_lock_shared(7)',
    "SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
  ],
  ['"set_config"', `SELECT "set_config"('work_mem', '123456', false)`, 'SHOW work_mem'],
  [
    'UPDATE pg_settings',
    "UPDATE pg_settings SET setting = '123456' WHERE name = 'work_mem'",
    'SHOW work_mem',
  ],
  ['SET in a DO block', 'DO $$ BEGIN SET work_mem = 123456; END $$', 'SHOW work_mem'],
  [
    'LISTEN in a DO block',
    'DO $$ BEGIN LISTEN news; END $$',
    'SELECT count(*)::int FROM pg_listening_channels()',
  ],
  ['DISCARD ALL', 'DISCARD ALL', 'SHOW application_name'],
  ['RESET ALL', 'RESET ALL', 'SHOW application_name'],
  ['RESET', 'RESET application_name', 'SHOW application_name'],
];

describe.each([
  ['an autocommitted statement', (engine: AsyncEngine, sql: string) => engine.execDriverSql(sql)],
  [
    'a transaction',
    (engine: AsyncEngine, sql: string) => engine.transaction(() => engine.execDriverSql(sql)),
  ],
  [
    'an AsyncConnection that ends in its transaction',
    (engine: AsyncEngine, sql: string) => engine.connect(async (connection) => connection.execDriverSql(sql)),
  ],
  [
    "the driver's client",
    async (engine: AsyncEngine, sql: string) => {
      await using pooled = await engine.rawConnection();
      await (pooled.driverConnection as Client).query(sql);
    },
  ],
])('what is left behind by %s', (way, run) => {
  it.each(leftovers)('%s is undone, and the session is kept', async (what, leave, question) => {
    if (what === 'DISCARD ALL' && (way.includes('transaction') || way.includes('Async'))) return;
    const engine = engineWith({ applicationName: 'orders', logger: silent });
    const before = await engine.execDriverSql(question).scalar();
    const process = await processOf(engine);
    await run(engine, leave);
    expect(await engine.execDriverSql(question).scalar()).toEqual(before);
    expect(await processOf(engine)).toBe(process);
  });
});

it.each([
  'INSERT INTO t VALUES ($1) ON CONFLICT (id) DO UPDATE SET v = $1',
  "SELECT set_config('app.tenant', $1, true)",
  "SELECT set_bit('101'::bit(3), 1, 1)",
  'SELECT session_user, tenant FROM sessions (id)',
  'UPDATE tenants SET session_id = $1',
])('leaves nothing behind: %s', (statement) => {
  expect(changesOf(statement)).toEqual([]);
});

const inFunctions: readonly (readonly [string, string, string])[] = [
  ['a setting', "PERFORM set_config('work_mem', '123456', false)", 'SHOW work_mem'],
  ['a role', "EXECUTE 'SET ROLE reset_reader'", 'SELECT current_user::text'],
  ['a temporary table', 'CREATE TEMP TABLE mine (a int)', "SELECT to_regclass('pg_temp.mine')::text"],
  ['LISTEN', 'LISTEN news', 'SELECT count(*)::int FROM pg_listening_channels()'],
  [
    'a lock',
    'PERFORM pg_advisory_lock(7)',
    "SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
  ],
];

it.each([['SELECT set_tenant($1)'], ['select public."set_tenant"($1)'], ['CALL use_tenant($1)']])(
  'a setting that a function sets for the session is undone: %s',
  async (call) => {
    await database.query(
      `CREATE OR REPLACE FUNCTION set_tenant(name text) RETURNS text LANGUAGE sql AS $$ SELECT set_config('app.tenant', name, false) $$;
     CREATE OR REPLACE PROCEDURE use_tenant(name text) LANGUAGE sql AS $$ SELECT set_tenant(name) $$`,
    );
    const engine = engineWith();
    await engine.execDriverSql(call, ['red']);
    expect(await engine.scalar(text("SELECT nullif(current_setting('app.tenant', true), '')"))).toBeNull();
  },
);

describe("what a function has left behind that the driver's client called", () => {
  it.each(inFunctions)('%s is undone, and the session is kept', async (_what, body, question) => {
    await database.query(
      `CREATE OR REPLACE FUNCTION leaves() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ${body}; END $$`,
    );
    const engine = engineWith({ settings: { 'app.tenant': 'A' } });
    const before = await engine.execDriverSql(question).scalar();
    const process = await processOf(engine);
    await using pooled = await engine.rawConnection();
    const client = pooled.driverConnection as Client;
    await client.query({ name: 'named', text: 'SELECT leaves()' });
    await pooled.close();
    expect(await engine.execDriverSql(question).scalar()).toEqual(before);
    expect(await engine.scalar(text("SELECT current_setting('app.tenant')"))).toBe('A');
    expect(await processOf(engine)).toBe(process);
    // Its own prepared statements are known to the client, and stay.
    await using again = await engine.rawConnection();
    await (again.driverConnection as Client).query({ name: 'named', text: 'SELECT leaves()' });
  });

  it('costs nothing where the client was taken and not used', async () => {
    const engine = engineWith();
    await processOf(engine);
    proxy.reset();
    await using pooled = await engine.rawConnection();
    expect(pooled.driverConnection).toBeDefined();
    await pooled.close();
    expect(proxy.roundTrips).toBe(0);
  });
});

const silent = { log() {}, warn() {}, error() {}, debug() {}, verbose() {} };

describe('a reset', () => {
  const engineOf = (settings: Record<string, string>) => engineWith({ settings });
  const tenant = text("SELECT current_setting('app.tenant', true)");

  it("applies the engine's own settings again", async () => {
    const engine = engineOf({ 'app.tenant': 'A', search_path: 'other' });
    await engine.execDriverSql("SET app.tenant = 'B'");
    await engine.execDriverSql('DISCARD ALL');
    expect(await engine.scalar(tenant)).toBe('A');
    expect(await engine.execDriverSql('SHOW search_path').scalar()).toBe('other');
  });

  it('of an open transaction and of the session is one round trip', async () => {
    const engine = engineOf({ 'app.tenant': 'A' });
    const pooled = await engine.rawConnection();
    for (const sql of ['BEGIN', "SET app.tenant = 'B'"]) await pooled.session.execute([], { text: sql });
    proxy.reset();
    await pooled.close();
    expect(proxy.roundTrips).toBe(1);
    expect(await engine.scalar(tenant)).toBe('A');
  });

  it('costs a clean session nothing', async () => {
    const engine = engineOf({ 'app.tenant': 'A' });
    const work = async (): Promise<void> => {
      await engine.transaction(() => engine.scalar(tenant), { settings: { TimeZone: 'Asia/Tokyo' } });
      await engine.scalar(tenant);
      await engine.transaction(() => engine.execDriverSql("SET LOCAL app.tenant = 'B'"));
    };
    await work();
    proxy.reset();
    await work();
    // Two transactions of a statement and a COMMIT, and one autocommitted statement.
    expect(proxy.roundTrips).toBe(5);
  });

  it('happens once: the next return of the session sends nothing', async () => {
    const engine = engineOf({});
    await engine.execDriverSql("SET TimeZone = 'Asia/Tokyo'");
    await processOf(engine);
    proxy.reset();
    await processOf(engine);
    expect(proxy.roundTrips).toBe(0);
  });

  it('that cannot bring back what a connect listener has set replaces the session', async () => {
    const engine = engineOf({});
    engine.on('connect', async ({ driverConnection }) => {
      await (driverConnection as Client).query("SET app.tenant = 'listener'");
    });
    const first = await processOf(engine);
    expect(await engine.scalar(tenant)).toBe('listener');
    expect(await processOf(engine)).toBe(first);
    await engine.execDriverSql("SET app.tenant = 'B'");
    expect(await engine.scalar(tenant)).toBe('listener');
    expect(await processOf(engine)).not.toBe(first);
  });
});

describe('poolResetOnReturn', () => {
  const setting = (engine: AsyncEngine) => engine.execDriverSql('SHOW work_mem').scalar();

  it.each([
    ['rollback', {}],
    ['rollback', { pgbouncer: true }],
  ] as const)("'%s' leaves the session as it is (%o)", async (_, options) => {
    const engine = engineWith('pgbouncer' in options ? options : { poolResetOnReturn: 'rollback' });
    await engine.execDriverSql("SET work_mem = '123456kB'");
    expect(await setting(engine)).toBe('123456kB');
  });

  it('null sends nothing', async () => {
    const engine = engineWith({ poolResetOnReturn: null });
    await engine.execDriverSql("SET work_mem = '123456kB'");
    expect(await setting(engine)).toBe('123456kB');
  });
});

describe('a session that is lent', () => {
  it.each(['connect', 'firstConnect'] as const)(
    'is not in a transaction that a %s listener left open',
    async (event) => {
      const engine = engineWith();
      const lent: string[] = [];
      engine.on(event, async ({ driverConnection }) => {
        await (driverConnection as Client).query('BEGIN');
      });
      engine.on(
        'checkout',
        ({ pooled }: { readonly pooled: PooledConnection }) => void lent.push(pooled.session.status),
      );
      await database.query('CREATE TABLE IF NOT EXISTS note (v text)');
      await engine.execDriverSql("INSERT INTO note VALUES ('kept')");
      expect(lent).toEqual(['idle']);
      expect(await database.query("DELETE FROM note WHERE v = 'kept' RETURNING v")).toEqual([{ v: 'kept' }]);
    },
  );
});
