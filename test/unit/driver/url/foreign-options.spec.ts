import 'reflect-metadata';
import { describe, expect, it } from 'vitest';
import { asyncEngineFromConfig, createAsyncEngine } from 'nest-async-engine/engine';
import { DatabaseTestingModule } from 'nest-async-engine/testing';
import { DATABASE_OPTIONS } from '../../../../lib/nest/shared/module-options.js';

const URL = 'postgresql://u:secret@h/d';

/** As their own documentation shows them. */
const CONFIGURATIONS: Readonly<Record<string, object>> = {
  TypeORM: {
    type: 'postgres',
    host: 'h',
    port: 5432,
    username: 'u',
    password: 'secret',
    database: 'd',
    schema: 'shop',
    synchronize: true,
    dropSchema: false,
    logging: true,
    maxQueryExecutionTime: 1_000,
    entities: [],
    subscribers: [],
    autoLoadEntities: true,
    namingStrategy: {},
    migrationsRun: true,
    migrationsTableName: 'm',
    cache: true,
    ssl: true,
    extra: { max: 3 },
    replication: {},
    connectTimeoutMS: 3_000,
    poolSize: 10,
    applicationName: 'shop',
  },
  Sequelize: {
    dialect: 'postgres',
    dialectOptions: { ssl: true },
    host: 'h',
    username: 'u',
    database: 'd',
    logging: false,
    benchmark: true,
    define: {},
    sync: {},
    models: [],
    timezone: '+00:00',
    retry: { max: 3 },
    schema: 'shop',
    hooks: {},
  },
  Prisma: {
    datasources: { db: {} },
    datasourceUrl: URL,
    log: ['query'],
    errorFormat: 'pretty',
    adapter: {},
    omit: {},
  },
  Knex: {
    client: 'pg',
    connection: {},
    searchPath: ['shop'],
    acquireConnectionTimeout: 60_000,
    asyncStackTraces: true,
    debug: true,
    useNullAsDefault: true,
    wrapIdentifier: () => '',
    postProcessResponse: () => '',
    seeds: {},
  },
  pg: {
    connectionString: URL,
    host: 'h',
    user: 'u',
    database: 'd',
    port: 5432,
    max: 10,
    min: 1,
    idleTimeoutMillis: 1_000,
    connectionTimeoutMillis: 1_000,
    maxLifetimeSeconds: 60,
    maxUses: 10,
    query_timeout: 1_000,
    idle_in_transaction_session_timeout: 1_000,
    fallback_application_name: 'shop',
    keepAlive: true,
    ssl: { rejectUnauthorized: false },
    client_encoding: 'utf8',
  },
  'postgres.js': {
    host: 'h',
    path: '/tmp',
    pass: 'secret',
    max: 10,
    max_lifetime: 60,
    idle_timeout: 20,
    prepare: false,
    transform: {},
    onnotice: () => '',
    debug: true,
    fetch_types: true,
  },
};

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as Error).message;
  }
  return '';
}

describe.each(Object.entries(CONFIGURATIONS))('the options of %s', (_tool, options) => {
  const known = new Set(DATABASE_OPTIONS.names);

  it.each([
    ['createAsyncEngine()', (given: object) => createAsyncEngine(URL, given)],
    ['DatabaseModule', (given: object) => DATABASE_OPTIONS.parse(given)],
    ['DatabaseTestingModule', (given: object) => DatabaseTestingModule.forRoot(given)],
  ])('are refused by %s with what to write instead, each', (_name, use) => {
    for (const [name, value] of Object.entries(options).filter(([key]) => !known.has(key))) {
      const message = messageOf(() => use({ [name]: value }));
      expect(message).toMatch(new RegExp(`^unknown \\w+ option '${name}'\\. '${name}': .{15,}\\.$`));
      expect(message).not.toContain('secret');
    }
  });

  it('are refused together, in one error', () => {
    const message = messageOf(() => DATABASE_OPTIONS.parse(options));
    for (const name of Object.keys(options).filter((each) => !known.has(each)))
      expect(message).toContain(`'${name}'`);
    expect(message).not.toMatch(/Known:|secret/);
  });
});

describe('what is not known', () => {
  it.each(['url', 'embedded', 'host', 'database', 'connectionString'])(
    'says in DatabaseTestingModule that the database is its own (%s)',
    (name) => {
      expect(messageOf(() => DatabaseTestingModule.forRoot({ [name]: 'secret' }))).toMatch(
        new RegExp(
          `^unknown DatabaseTestingModule option '${name}'\\. '${name}': leave it out: .* TEST_DATABASE_URL`,
        ),
      );
    },
  );

  it('names what is, beside what belongs to another library', () => {
    const message = messageOf(() => createAsyncEngine(URL, { max: 3, colour: 'red' } as object));
    expect(message).toMatch(
      /^unknown engine option 'max', 'colour'\. 'max': write poolSize .*\. Known: poolSize, /,
    );
  });

  it('is named as it stands in a configuration', () => {
    const config = { 'database.url': URL, 'database.max_connections': 3 };
    expect(() => asyncEngineFromConfig(config)).toThrow(
      "unknown engine option 'database.max_connections'. 'database.max_connections': write poolSize",
    );
  });

  it('says what a pool of another library is written as', () => {
    expect(() => createAsyncEngine(URL, { pool: { min: 0, max: 5 } as never })).toThrow(
      /its size is poolSize and maxOverflow/,
    );
  });

  it.each([{ host: 'h', password: 'secret' }, { connectionString: URL }])(
    'says how parts become a URL',
    (parts) => {
      const message = messageOf(() => createAsyncEngine(parts as never));
      expect(message).toMatch(/DatabaseUrl\.create\(\{ drivername: 'postgresql'/);
      expect(message).not.toContain('secret');
    },
  );

  it.each(['prisma+postgres://h/d', 'postgresql+asyncpg://h/d', 'mysql://h/d', 'pg://h/d'])(
    'says which URLs there are (%s)',
    (url) => {
      expect(() => createAsyncEngine(url)).toThrow(/Write postgresql:\/\/ for a server/);
    },
  );
});
