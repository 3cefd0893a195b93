import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  createAsyncEngine,
  createAsyncPoolFromUrl,
  createDriver,
  InterfaceError,
  QueuePool,
  text,
} from 'nest-async-engine/engine';
import type { AsyncEngine, AsyncEngineOptions, Driver, DriverOptions } from 'nest-async-engine/engine';
import { failureOf } from '../../support/items.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';
import { TestEngines } from '../../support/test-engines.js';

const NAME = text("SELECT current_setting('application_name')");
const PID = text('SELECT pg_backend_pid()');

let database: TestDatabase;
const engines = new TestEngines();

beforeAll(async () => {
  database = await createDatabase('do_connect');
});
afterEach(() => engines.end());
afterAll(() => database.drop());

function start(options?: AsyncEngineOptions, url = database.url): AsyncEngine {
  return engines.add(createAsyncEngine(url, options));
}

describe('a listener of doConnect', () => {
  it('changes the options of the driver for one attempt, in place of connectArgs', async () => {
    const engine = start({ connectArgs: { application_name: 'option' }, poolSize: 2 });
    let attempts = 0;
    engine.on('doConnect', async ({ connectArgs }) => {
      attempts += 1;
      if (attempts === 1) connectArgs['application_name'] = await Promise.resolve('listener');
    });
    await using first = await engine.connect();
    await using second = await engine.connect();
    expect([await first.scalar(NAME), await second.scalar(NAME)]).toEqual(['listener', 'option']);
  });

  it('says where the server is, in place of the URL', async () => {
    const { hostname, port } = new URL(database.url);
    const engine = start({}, database.url.replace(/@[^/]+/, '@127.0.0.1:1'));
    engine.on('doConnect', ({ connectArgs }) => {
      Object.assign(connectArgs, { host: hostname, port: Number(port) });
    });
    expect(await engine.scalar(text('SELECT 1'))).toBe(1);
  });

  it('gives a connected client, which is used in place of a new one; the first that is given counts', async () => {
    const client = new pg.Client(database.url);
    await client.connect();
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const engine = start();
    engine.on('doConnect', () => undefined);
    engine.on('doConnect', async () => client);
    engine.on('doConnect', () => 'too late');
    expect(await engine.scalar(PID)).toBe(rows[0]?.pid);
  });

  it('may give nothing else: the attempt fails', async () => {
    const engine = start();
    engine.once('doConnect', () => ({ query: 'no client' }));
    const failure = await failureOf(engine.scalar(PID));
    expect(failure).toBeInstanceOf(InterfaceError);
    expect(String(failure)).toContain("a listener of 'doConnect' did not return a connected client of pg");
  });

  it('fails the attempt by throwing, and the next one is free to succeed', async () => {
    const engine = start();
    engine.once('doConnect', () => {
      throw new RangeError('no token');
    });
    expect(await failureOf(engine.scalar(PID))).toBeInstanceOf(RangeError);
    expect(await engine.scalar(text('SELECT 1'))).toBe(1);
  });

  it('of a pool without an engine is called, too', async () => {
    await using pool = createAsyncPoolFromUrl(database.url);
    pool.on('doConnect', ({ connectArgs }) => void (connectArgs['application_name'] = 'pool'));
    await using pooled = await pool.connect();
    const { rows } = await pooled.session.execute([], { text: "SELECT current_setting('application_name')" });
    expect(rows).toEqual([{ current_setting: 'pool' }]);
  });

  it('cannot change how PGlite connects', async () => {
    const engine = start({}, 'postgresql+pglite://');
    engine.once('doConnect', ({ connectArgs }) => void (connectArgs['username'] = 'other'));
    expect(await failureOf(engine.scalar(PID))).toBeInstanceOf(ArgumentError);
    expect(await engine.scalar(text('SELECT 1'))).toBe(1);
  });
});

describe("a pool over a driver of one's own", () => {
  it('opens its connections through it, with the options of the driver that is wrapped', async () => {
    const driver = createDriver(database.url, { applicationName: 'wrapped' });
    let opened = 0;
    const counting: Driver = {
      facts: driver.facts,
      connect: async (attempt) => {
        const session = await driver.connect(attempt);
        opened += 1;
        return session;
      },
    };
    const engine = start({ pool: new QueuePool(counting, { poolSize: 1 }) });
    expect(await engine.scalar(NAME)).toBe('wrapped');
    expect(await engine.scalar(text('SELECT 2'))).toBe(2);
    await engine.dispose();
    expect([await engine.scalar(NAME), opened]).toEqual(['wrapped', 2]);
  });

  it('has the options of the driver from createDriver(): the engine refuses them', () => {
    const pool = new QueuePool(createDriver(database.url));
    expect(() => createAsyncEngine(database.url, { pool, applicationName: 'engine' })).toThrow(
      /applicationName has no effect together with 'pool'/,
    );
  });

  it('has its own options: createDriver() refuses them', () => {
    const options = { poolSize: 3 } as DriverOptions;
    expect(() => createDriver(database.url, options)).toThrow(/poolSize has no effect on a driver/);
  });
});
