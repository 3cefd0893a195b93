import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Logger } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { Test } from '@nestjs/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { AsyncEngine, DatabaseModule, NoSuchDriverError, sql } from 'nest-async-engine';
import { eventually } from '../support/process/barrier.js';
import { createDatabase } from '../support/server/postgres.js';
import type { TestDatabase } from '../support/server/postgres.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('start');
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});
afterAll(() => database.drop());

type Imports = NonNullable<Parameters<typeof Test.createTestingModule>[0]['imports']>;
const compile = (...imports: Imports) => Test.createTestingModule({ imports }).compile();

/** A port where nobody listens. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('forRootAsync with ConfigService', () => {
  it('takes its options from the environment', async () => {
    vi.stubEnv('MY_DATABASE', database.url);
    vi.stubEnv('MY_POOL_SIZE', '3');
    const testing = await compile(
      DatabaseModule.forRootAsync({
        imports: [ConfigModule.forRoot({ ignoreEnvFile: true })],
        inject: [ConfigService],
        useFactory: (config: ConfigService) => ({
          url: config.getOrThrow<string>('MY_DATABASE'),
          poolSize: Number(config.getOrThrow<string>('MY_POOL_SIZE')),
        }),
      }),
    );
    expect(await testing.get(AsyncEngine).scalar(sql`SELECT current_database()`)).toBe(database.name);
    expect(testing.get(AsyncEngine).pool.size()).toBe(3);
    await testing.close();
  });
});

describe('connectOnStart', () => {
  it('eager, the default, has connected when the application starts', async () => {
    const testing = await compile(DatabaseModule.forRoot({ url: database.url }));
    expect(testing.get(AsyncEngine).pool.checkedIn()).toBe(1);
    await testing.close();
  });

  it('lazy connects with the first statement', async () => {
    const testing = await compile(DatabaseModule.forRoot({ url: database.url, connectOnStart: 'lazy' }));
    const engine = testing.get(AsyncEngine);
    expect(engine.pool.checkedIn()).toBe(0);
    expect(await engine.scalar(sql`SELECT 1`)).toBe(1);
    await testing.close();
  });

  it('background does not wait, and connects once the database is there', async () => {
    vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const down = await freePort();
    const { port } = new URL(database.url);
    const target = { port: down };
    const connectArgs = {
      get port(): number {
        return target.port;
      },
    };
    const testing = await compile(
      DatabaseModule.forRoot({
        url: database.url,
        connectArgs,
        connectOnStart: 'background',
        retryDelay: 1,
        retryAttempts: 10_000,
      }),
    );
    const engine = testing.get(AsyncEngine);
    expect(engine.pool.checkedIn()).toBe(0);
    target.port = Number(port);
    await eventually(() => expect(engine.pool.checkedIn()).toBe(1));
    await testing.close();
  });

  it('background reports a database that stays away, and the application lives on', async () => {
    const lines = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const url = `postgresql://nobody@127.0.0.1:${await freePort()}/nowhere`;
    const testing = await compile(
      DatabaseModule.forRoot({ url, connectOnStart: 'background', retryAttempts: 0 }),
    );
    await eventually(() => expect(lines.mock.calls.flat().map(String).join()).toContain('cannot connect to'));
    await testing.close();
  });

  it('refuses another word, and an unknown driver, whenever it would connect', async () => {
    const wrong = { url: database.url, connectOnStart: 'soon' as 'lazy' };
    await expect(compile(DatabaseModule.forRoot(wrong))).rejects.toThrow(
      /must be 'eager', 'lazy' or 'background'/,
    );
    const url = database.url.replace(/^postgres(ql)?:/, 'postgresql+oracle:');
    const lazy = compile(DatabaseModule.forRoot({ url, connectOnStart: 'lazy' }));
    await expect(lazy).rejects.toBeInstanceOf(NoSuchDriverError);
  });
});

describe('the engine of a module', () => {
  it('writes through Nest’s Logger under its own context', async () => {
    const contexts: unknown[] = [];
    vi.spyOn(Logger.prototype, 'warn').mockImplementation((line: unknown, context: unknown) => {
      contexts.push(context, line);
    });
    const testing = await compile(DatabaseModule.forRoot({ url: database.url }));
    testing.get(AsyncEngine).logger.warn('a line');
    expect(contexts).toEqual(['AsyncEngine', 'a line']);
    await testing.close();
  });
});
