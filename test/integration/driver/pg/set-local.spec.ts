import { createAsyncEngine, text, type AsyncEngine, type AsyncEngineOptions } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { failureOf } from '../../../support/items.js';
import { startFaultyProxy, type FaultyProxy } from '../../../support/server/faulty-proxy.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';
import { TestEngines } from '../../../support/test-engines.js';

let database: TestDatabase;
let proxy: FaultyProxy;
const engines = new TestEngines();

function open(options: AsyncEngineOptions = { settingsAs: 'set local' }): AsyncEngine {
  return engines.add(createAsyncEngine(proxy.url, { poolSize: 1, maxOverflow: 0, ...options }));
}

const shown = (name: string) =>
  text<{ value: string | null }>(`SELECT NULLIF(current_setting('${name}', TRUE), '') AS value`);

beforeAll(async () => {
  database = await createDatabase('set_local');
  proxy = await startFaultyProxy(database.url);
});
afterEach(() => engines.end());
afterAll(async () => {
  await proxy.close();
  await database.drop();
});

it.each([
  ['app.tenant', 'red'],
  ['app.tenant', `it's a \\ "quoted" $value; '`],
  ['app.tenant', 'E\\047 ÄÖ 漢'],
  ['search_path', `"My Schema", public`],
  ['search_path', `"a ""b""", pg_catalog`],
  ['TimeZone', 'Asia/Tokyo'],
  ['DateStyle', 'ISO, DMY'],
  ['lock_timeout', '4321ms'],
])('%s is set to %s in a transaction as set_config() sets it', async (name, value) => {
  const settings = { [name]: value };
  const by = (engine: AsyncEngine) => engine.transaction(() => engine.scalar(shown(name)), { settings });
  const expected = await by(open({ settingsAs: 'set_config' }));
  expect(await by(open())).toBe(expected);
  expect(proxy.statements.some((statement) => statement.startsWith('SET LOCAL'))).toBe(true);
});

it('unquoted names of a search_path are those that set_config() finds', async () => {
  await database.query('CREATE SCHEMA IF NOT EXISTS red; CREATE TABLE IF NOT EXISTS red.thing (id int)');
  const engine = open();
  const found = engine.transaction(() => engine.scalar(text(`SELECT to_regclass('thing')::text`)), {
    settings: { search_path: 'Missing, RED,public' },
  });
  expect(await found).toBe('thing');
});

it('a statement has its settings between BEGIN and COMMIT, in one flight, and none are left', async () => {
  const engine = open();
  await engine.execute(text('SELECT 1'));
  proxy.reset();
  const own = engine.executionOptions({ settings: { 'app.tenant': 'red' } });
  expect(await own.scalar(shown('app.tenant'))).toBe('red');
  expect(proxy.roundTrips).toBe(1);
  expect(proxy.statements.map((statement) => statement.split(' ', 2).join(' '))).toEqual([
    'BEGIN',
    'SET LOCAL',
    "SELECT NULLIF(current_setting('app.tenant',",
    'COMMIT',
  ]);
  expect(await engine.scalar(shown('app.tenant'))).toBeNull();
});

it('a nested transaction has its own, and the outer one has its own again', async () => {
  const engine = open();
  const seen: unknown[] = [];
  const look = async (): Promise<void> => {
    seen.push([await engine.scalar(shown('app.tenant')), await engine.scalar(shown('app.other'))]);
  };
  const inner = { settings: { 'app.tenant': 'blue', 'app.other': 'x' } };
  const work = async (): Promise<void> => {
    await look();
    await engine.transaction(look, inner);
    await look();
    const failing = engine.transaction(() => engine.scalar(text('SELECT 1 / 0')), inner);
    expect(await failureOf(failing)).toMatchObject({ sqlState: '22012' });
    await look();
  };
  await engine.transaction(work, { settings: { 'app.tenant': 'red' } });
  const outer = ['red', null];
  expect(seen).toEqual([outer, ['blue', 'x'], outer, outer]);
  expect(proxy.statements.some((statement) => statement.includes('set_config'))).toBe(false);
});

it('is how settings are sent where the engine asks Citus to hand them on', async () => {
  const engine = open({ settings: { 'citus.propagate_set_commands': 'local' } });
  await engine.execute(text('SELECT 1'));
  proxy.reset();
  await engine.transaction(() => engine.scalar(text('SELECT 1')), { lockTimeout: 100 });
  expect(proxy.statements).toContain(`SET LOCAL "lock_timeout" TO '100'`);
});
