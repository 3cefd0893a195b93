import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Controller, Get, Injectable, Logger, Module } from '@nestjs/common';
import type { OnApplicationShutdown } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  ArgumentError,
  AsyncConnection,
  AsyncEngine,
  DatabaseModule,
  createAsyncEngine,
  InjectEngine,
  OperationalError,
  Exclusive,
  Transactional,
  UseTransaction,
  getEngineToken,
  sql,
} from 'nest-async-engine';
import type { DatabaseModuleFactoryOptions, DatabaseOptionsFactory } from 'nest-async-engine';
import { Latch, eventually } from '../support/process/barrier.js';
import { openRequest } from '../support/nest/http.js';
import { ADAPTERS, startApp } from '../support/nest/nest-app.js';
import { createDatabase } from '../support/server/postgres.js';
import type { TestDatabase } from '../support/server/postgres.js';

let first: TestDatabase;
let second: TestDatabase;

beforeAll(async () => {
  [first, second] = await Promise.all([createDatabase('first'), createDatabase('second')]);
  await first.query('CREATE TABLE notes (text text)');
  await second.query('CREATE TABLE notes (text text)');
});
afterAll(async () => {
  await first.drop();
  await second.drop();
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

const compile = (...imports: Parameters<typeof Module>[0]['imports'] & object) =>
  Test.createTestingModule({ imports }).compile();

@Injectable()
class Notes {
  constructor(readonly engine: AsyncEngine) {}

  @Transactional()
  async add(text: string): Promise<void> {
    await this.engine.execute(sql`INSERT INTO notes VALUES (${text})`);
  }
}

const texts = async (database: TestDatabase): Promise<string[]> =>
  (await database.query<{ text: string }>('SELECT text FROM notes ORDER BY text')).map(({ text }) => text);

describe('two applications in one process', () => {
  it('never touch each other’s database, whichever was started last', async () => {
    const [one, two] = await Promise.all(
      [first, second].map((database) =>
        Test.createTestingModule({
          imports: [DatabaseModule.forRoot({ url: database.url })],
          providers: [Notes],
        }).compile(),
      ),
    );
    await Promise.all([one?.get(Notes).add('of one'), two?.get(Notes).add('of two')]);
    expect([await texts(first), await texts(second)]).toEqual([['of one'], ['of two']]);
    await two?.close();
    await one?.get(Notes).add('one goes on');
    expect(await texts(first)).toEqual(['of one', 'one goes on']);
    await one?.close();
    await first.query('TRUNCATE notes');
  });
});

describe('an engine that a test replaces', () => {
  const replaced = (engine: unknown) =>
    Test.createTestingModule({ imports: [DatabaseModule.forRoot({ url: first.url })] })
      .overrideProvider(AsyncEngine)
      .useValue(engine)
      .compile();

  it('by something else fails the start and says what to give', async () => {
    await expect(replaced({ execute: () => 'fake' })).rejects.toThrow(
      /replaced by an object, which is not an AsyncEngine/,
    );
  });

  it('by a mock, in a test without the module, names what a test has for it', async () => {
    const testing = await Test.createTestingModule({ providers: [Notes] })
      .useMocker(() => ({}))
      .compile();
    await expect(testing.get(Notes).add('a')).rejects.toThrow(
      /Notes.add needs a transaction, and in the place of its engine there is an object. .*disableTransactions\(\)/,
    );
  });

  it('by another engine is used in its place', async () => {
    const own = createAsyncEngine(first.url);
    const testing = await replaced(own);
    expect(testing.get(AsyncEngine)).toBe(own);
    await testing.close();
    await own.aclose();
  });
});

describe('two databases in one application', () => {
  it('are told apart by their name, and a transaction is of one of them', async () => {
    @Injectable()
    class Copies {
      constructor(
        readonly main: AsyncEngine,
        @InjectEngine('archive') readonly archive: AsyncEngine,
      ) {}

      @Transactional({ engine: 'archive' })
      async fail(): Promise<void> {
        await this.main.execute(sql`INSERT INTO notes VALUES ('autocommitted in main')`);
        await this.archive.execute(sql`INSERT INTO notes VALUES ('rolled back in archive')`);
        throw new Error('on purpose');
      }
    }
    const testing = await Test.createTestingModule({
      imports: [
        DatabaseModule.forRoot({ url: first.url }),
        DatabaseModule.forRoot({ url: second.url, name: 'archive' }),
      ],
      providers: [Copies],
    }).compile();
    const before = await texts(second);
    await expect(testing.get(Copies).fail()).rejects.toThrow('on purpose');
    expect(await texts(first)).toEqual(['autocommitted in main']);
    expect(await texts(second)).toEqual(before);
    await testing.close();
  });

  it('are refused when they share a name', async () => {
    const twice = compile(
      DatabaseModule.forRoot({ url: first.url }),
      DatabaseModule.forRoot({ url: second.url }),
    );
    await expect(twice).rejects.toThrow(/two DatabaseModules named 'default'/);
  });
});

describe('what the module is given', () => {
  it('an option that does not exist fails the start by its name', async () => {
    const wrong = { url: first.url, poolsize: 3 } as object;
    await expect(compile(DatabaseModule.forRoot(wrong))).rejects.toThrow(
      /unknown DatabaseModule option 'poolsize' \(did you mean 'poolSize'\?\)/,
    );
  });

  it('nothing at all is told where a URL can come from', async () => {
    vi.stubEnv('DATABASE_URL', '');
    await expect(compile(DatabaseModule.forRoot())).rejects.toBeInstanceOf(ArgumentError);
  });

  it('DATABASE_URL is used where there is no url', async () => {
    vi.stubEnv('DATABASE_URL', first.url);
    const testing = await compile(DatabaseModule.forRoot());
    expect(testing.get(AsyncEngine).url.database).toBe(first.name);
    await testing.close();
  });

  it.each(['production', ' production ', 'Production', 'prod', 'live', 'staging', 'Test'])(
    'embedded is refused where NODE_ENV is %s',
    async (environment) => {
      vi.stubEnv('DATABASE_URL', '');
      vi.stubEnv('NODE_ENV', environment);
      const starting = compile(DatabaseModule.forRoot({ embedded: true }));
      await expect(starting).rejects.toThrow(/needs NODE_ENV to be development or test/);
    },
  );

  it.each([
    ['a time that is not one', { retryDelay: '3000' }, /option 'retryDelay' must be milliseconds/],
    ['half a name', { retry: 3 }, /unknown DatabaseModule option 'retry'/],
    ['a near miss in requestScope', { requestScope: { comit: 'explicit' } }, /did you mean 'commit'/],
    ['a connection option of the wrong kind', { requestScope: { connection: {} } }, /must be a function/],
    ['a near miss in the defaults', { transactional: { readonly: true } }, /Did you mean 'readOnly'/],
    ['settings in a Map', { settings: new Map([['app.tenant', 'red']]) }, /must be a plain object/],
    ['a port of the embedded server', { embedded: { port: '5432' } }, /option 'port' must be an integer/],
    [
      'a URL that is an object',
      { url: { host: 'secret' } },
      /option 'url' must be a string or a DatabaseUrl/,
    ],
  ])('%s fails the start', async (_, wrong: object, message) => {
    const starting = compile(DatabaseModule.forRoot({ url: first.url, ...wrong }));
    await expect(starting).rejects.toThrow(message);
    await expect(starting).rejects.toThrow(ArgumentError);
    const later = DatabaseModule.forRootAsync({ useFactory: () => ({ url: first.url, ...wrong }) });
    await expect(compile(later)).rejects.toThrow(message);
  });

  it.each([null, 'postgresql://host/db', 5])(
    'forRoot(%o) and forRootAsync(%o) are refused at once',
    (wrong) => {
      expect(() => DatabaseModule.forRoot(wrong as never)).toThrow(ArgumentError);
      expect(() => DatabaseModule.forRootAsync(wrong as never)).toThrow(ArgumentError);
    },
  );

  it('nothing, where the class itself is imported, names forRoot()', async () => {
    await expect(compile(DatabaseModule)).rejects.toThrow(
      /imported as a class. Import DatabaseModule.forRoot\(\) or .forRootAsync\(\)/,
    );
  });

  it('an empty name is refused at once, wherever one is given', () => {
    expect(() => DatabaseModule.forRoot({ name: '' })).toThrow(ArgumentError);
    expect(() => DatabaseModule.forRootAsync({ name: '', useFactory: () => ({}) })).toThrow(ArgumentError);
    expect(() => Transactional({ engine: '' })).toThrow(ArgumentError);
    expect(() => UseTransaction({ engine: '' })).toThrow(ArgumentError);
    expect(() => Exclusive('job', { engine: '' })).toThrow(ArgumentError);
  });

  it('a class without createDatabaseOptions() is refused by its kind', async () => {
    class Forgetful {}
    const ways = [
      DatabaseModule.forRootAsync({ useClass: Forgetful as never }),
      DatabaseModule.forRootAsync({
        useExisting: 'options',
        imports: [
          { module: Forgetful, providers: [{ provide: 'options', useValue: {} }], exports: ['options'] },
        ],
      }),
    ];
    for (const way of ways) {
      const starting = compile(way);
      await expect(starting).rejects.toThrow(ArgumentError);
      await expect(starting).rejects.toThrow(/has no method createDatabaseOptions\(\)/);
    }
  });

  it('a near miss in forRootAsync is refused at once', () => {
    const wrong = { usefactory: () => ({}) } as never;
    expect(() => DatabaseModule.forRootAsync(wrong)).toThrow(/did you mean 'useFactory'/);
  });

  it('embedded starts a PostgreSQL and stops it with the application', async () => {
    vi.stubEnv('DATABASE_URL', '');
    const testing = await compile(DatabaseModule.forRoot({ embedded: true }));
    const engine = testing.get(AsyncEngine);
    expect(await engine.scalar(sql`SELECT 1`)).toBe(1);
    const { url } = engine;
    await testing.close();
    await expect(compile(DatabaseModule.forRoot({ url, retryAttempts: 0 }))).rejects.toBeInstanceOf(
      OperationalError,
    );
  });

  it.each([
    ['useFactory', { useFactory: () => ({ url: first.url }) }],
    [
      'useClass',
      {
        useClass: class implements DatabaseOptionsFactory {
          createDatabaseOptions(): DatabaseModuleFactoryOptions {
            return { url: first.url };
          }
        },
      },
    ],
  ])('options of %s are used', async (_way, options) => {
    const testing = await compile(DatabaseModule.forRootAsync({ ...options, name: 'late' }));
    const engine = testing.get<AsyncEngine>(getEngineToken('late'));
    expect(await engine.scalar(sql`SELECT current_database()`)).toBe(first.name);
    await testing.close();
  });

  it('options of a factory get what it injects', async () => {
    @Module({ providers: [{ provide: 'URL', useFactory: () => first.url }], exports: ['URL'] })
    class Config {}
    const useFactory = (url: string) => ({ url });
    const testing = await compile(
      DatabaseModule.forRootAsync({ imports: [Config], inject: ['URL'], useFactory }),
    );
    expect(testing.get(AsyncEngine).url.database).toBe(first.name);
    await testing.close();
  });

  it('a factory that gives another name is refused', async () => {
    const useFactory = () => ({ url: first.url, name: 'other' });
    await expect(compile(DatabaseModule.forRootAsync({ useFactory }))).rejects.toThrow(
      /gave the name 'other'/,
    );
  });
});

describe('a database that is down at the start', () => {
  it('is tried again with a line for each attempt, then the start fails with why', async () => {
    const lines = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const url = 'postgresql://nobody@127.0.0.1:1/nowhere';
    const starting = compile(DatabaseModule.forRoot({ url, retryAttempts: 2, retryDelay: 1 }));
    await expect(starting).rejects.toThrow(/cannot connect to 127.0.0.1:1/);
    expect(lines.mock.calls.map(([line]) => line as string)).toEqual([
      expect.stringContaining('attempt 1 of 3'),
      expect.stringContaining('attempt 2 of 3'),
    ]);
  });

  it('is waited for until it is there', async () => {
    vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const closed = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => closed.once('listening', resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    const target = new URL(first.url);
    let attempts = 0;
    const url = new URL(first.url);
    url.port = String(port);
    // The server is where the second attempt looks for it.
    const connectArgs = {
      get port(): number {
        attempts += 1;
        return attempts === 1 ? port : Number(target.port);
      },
    };
    const testing = await compile(DatabaseModule.forRoot({ url: url.href, connectArgs, retryDelay: 1 }));
    expect(await testing.get(AsyncEngine).scalar(sql`SELECT 1`)).toBe(1);
    await testing.close();
  });
});

describe.each(ADAPTERS)('a shutdown on %s', (_adapter, createAdapter) => {
  it('lets a request in progress finish and leaves no session on the server', async () => {
    const entered = new Latch();
    const mayGoOn = new Latch();
    @Controller()
    class Slow implements OnApplicationShutdown {
      constructor(private readonly connection: AsyncEngine) {}

      @Get()
      async get(): Promise<string> {
        return await this.connection.transaction(async () => {
          await this.connection.execute(sql`SELECT 1`);
          entered.open();
          await mayGoOn.opened;
          await this.connection.execute(sql`INSERT INTO notes VALUES ('finished')`);
          return 'finished';
        });
      }

      // Others end before the database does.
      async onApplicationShutdown(): Promise<void> {
        await this.connection.execute(sql`INSERT INTO notes VALUES ('last words')`);
      }
    }
    await second.query('TRUNCATE notes');
    const { url, close } = await startApp(
      {
        imports: [DatabaseModule.forRoot({ url: second.url, applicationName: 'shutdown' })],
        controllers: [Slow],
      },
      createAdapter(),
    );
    const answer = fetch(url, { headers: { connection: 'close' } });
    await entered.opened;
    const closing = close();
    mayGoOn.open();
    expect(await (await answer).text()).toBe('finished');
    await closing;
    expect(await texts(second)).toEqual(['finished', 'last words']);
    await eventually(async () => expect(await second.sessions()).toEqual([]));
  });

  it('ends a request that does not finish within shutdownTimeout', async () => {
    const entered = new Latch();
    @Controller()
    class Stuck {
      constructor(private readonly connection: AsyncConnection) {}

      @Get()
      async get(): Promise<void> {
        const sleeping = this.connection.execute(sql`SELECT pg_sleep(60)`);
        entered.open();
        await sleeping;
      }
    }
    vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const { url, app } = await startApp(
      { imports: [DatabaseModule.forRoot({ url: second.url, shutdownTimeout: 100 })], controllers: [Stuck] },
      createAdapter(),
    );
    const request = openRequest(url);
    await entered.opened;
    request.hangUp();
    await app.close();
    await eventually(async () => expect(await second.sessions()).toEqual([]));
  });
});
