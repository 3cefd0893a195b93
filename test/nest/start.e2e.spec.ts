import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Logger } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { Test } from '@nestjs/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { inspect } from 'node:util';
import { REQUEST } from '@nestjs/core';
import { ArgumentError, AsyncEngine, DatabaseModule, NoSuchDriverError, sql } from 'nest-async-engine';
import { LogLines } from '../support/doubles/log-lines.js';
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

describe('a start that fails', () => {
  const sessions = async (): Promise<number> => (await database.sessions()).length;
  const noSuchDatabase = (): string => {
    const url = new URL(database.url);
    url.pathname = '/no_such_database';
    return url.href;
  };
  const quiet = { logger: new LogLines(), retryAttempts: 0 };

  it('because of one database leaves no session of another one', async () => {
    const wrong = DatabaseModule.forRoot({ ...quiet, name: 'wrong', url: noSuchDatabase() });
    await expect(compile(DatabaseModule.forRoot({ url: database.url }), wrong)).rejects.toThrow(
      /no_such_database/,
    );
    await eventually(async () => expect(await sessions()).toBe(0));
  });

  it('because of a factory, or of what it gave, leaves no session of another database', async () => {
    const fail = (): never => {
      throw new Error('no configuration');
    };
    const failing = DatabaseModule.forRootAsync({ name: 'failing', useFactory: fail });
    await expect(compile(DatabaseModule.forRoot({ url: database.url }), failing)).rejects.toThrow(
      /no configuration/,
    );
    const misnamed = DatabaseModule.forRootAsync({ name: 'one', useFactory: () => ({ name: 'other' }) });
    await expect(compile(DatabaseModule.forRoot({ url: database.url }), misnamed)).rejects.toThrow(
      ArgumentError,
    );
    await eventually(async () => expect(await sessions()).toBe(0));
  });

  it('ends the attempts to connect of the other databases', async () => {
    const logger = new LogLines();
    const url = `postgresql://nobody@127.0.0.1:${await freePort()}/nowhere`;
    const waiting = DatabaseModule.forRoot({ name: 'waiting', url, logger, retryDelay: 600_000 });
    const wrong = DatabaseModule.forRoot({ ...quiet, name: 'wrong', url: noSuchDatabase() });
    await expect(compile(waiting, wrong)).rejects.toThrow(/no_such_database/);
    expect(logger.lines.filter(({ message }) => message.includes('attempt 2'))).toEqual([]);
  });

  it('because its options depend on a request names forRootAsync, and leaves no session', async () => {
    const scoped = DatabaseModule.forRootAsync({
      inject: [REQUEST],
      useFactory: () => ({ url: database.url }),
    });
    const start = async (): Promise<unknown> => await (await compile(scoped)).init();
    await expect(start()).rejects.toThrow(/forRootAsync.*requestScope\.connection/);
    const app = (await compile(scoped)).createNestApplication({ logger: false });
    await expect(app.init()).rejects.toThrow(/forRootAsync/);
    await eventually(async () => expect(await sessions()).toBe(0));
  });

  it('is not tried again for a URL that is wrong for good', async () => {
    const logger = new LogLines();
    const url = 'postgresql://u@/d?host=n1:x&host=n2:6002';
    const start = async () => await compile(DatabaseModule.forRoot({ url, logger, retryDelay: 600_000 }));
    await expect(start()).rejects.toBeInstanceOf(ArgumentError);
    expect(logger.lines).toEqual([]);
  });
});

describe('the options of a module', () => {
  it('give their logger the lines about failed attempts to connect', async () => {
    const logger = new LogLines();
    const url = `postgresql://nobody@127.0.0.1:${await freePort()}/nowhere`;
    const options = { url, logger, retryAttempts: 2, retryDelay: 1 };
    await expect(compile(DatabaseModule.forRoot(options))).rejects.toThrow(/cannot connect/);
    expect(logger.lines.map(({ level, fields }) => [level, fields?.logger, fields?.['attempt']])).toEqual([
      ['error', 'DatabaseModule', 1],
      ['error', 'DatabaseModule', 2],
    ]);
  });

  it.each([
    [
      'in the URL',
      (url: string) => ({ url: url.replace('//', '//user:s3cretWord@'), connectOnStart: 'lazy' }),
    ],
    ['as an option', (url: string) => ({ url, password: 's3cretWord', connectOnStart: 'lazy' })],
    ['for the driver', (url: string) => ({ url, connectArgs: { password: 's3cretWord' } })],
  ] as const)('keep a password %s out of the container', async (_where, optionsOf) => {
    const given = { ...optionsOf('postgresql://127.0.0.1/nowhere'), connectOnStart: 'lazy' as const };
    const testing = await compile(
      DatabaseModule.forRoot(given),
      DatabaseModule.forRootAsync({ name: 'second', useFactory: () => given }),
    );
    await testing.init();
    const shown = [testing, testing.get(DatabaseModule), testing.get('nest-async-engine:settings:second')];
    for (const value of shown) expect(inspect(value, { depth: 10 })).not.toContain('s3cretWord');
    await testing.close();
  });
});

describe('a start', () => {
  it('does not look into a provider that is a Proxy, which may refuse that', async () => {
    const known = (name: string | symbol) =>
      name === 'then' ||
      name in Object.prototype ||
      String(name).startsWith('on') ||
      name === 'beforeApplicationShutdown';
    const strict = new Proxy(
      {},
      {
        get: (_, name) => {
          if (known(name)) return undefined;
          throw new Error(`${String(name)} was looked at before there is a request`);
        },
      },
    );
    const testing = await Test.createTestingModule({
      imports: [DatabaseModule.forRoot({ url: database.url })],
      providers: [{ provide: 'strict', useFactory: () => strict }],
    }).compile();
    await testing.init();
    expect(await testing.get(AsyncEngine).scalar(sql`SELECT 1`)).toBe(1);
    await testing.close();
  });
});
