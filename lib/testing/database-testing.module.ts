import { Module, type DynamicModule, type OnApplicationShutdown } from '@nestjs/common';
import { NullPool, createAsyncEngine, type AsyncEngine } from '../engine/index.js';
import { DatabaseCoreModule } from '../nest/database-core.module.js';
import { Databases } from '../nest/databases.js';
import { DatabaseModule } from '../nest/database.module.js';
import { functionRule, wordRule } from '../engine/util/option-rule.js';
import { OptionTable } from '../engine/util/option-table.js';
import { DATABASE_OPTIONS } from '../nest/shared/module-options.js';
import type { DatabaseModuleOptions } from '../nest/shared/database-options.interface.js';
import { createTestDatabase, type TestDatabase, type TestDatabaseOptions } from './test-database.js';

/** Those of DatabaseModule, but where the database is. */
export interface DatabaseTestingModuleOptions
  extends Omit<DatabaseModuleOptions, 'url' | 'embedded' | 'connectOnStart'>, TestDatabaseOptions {
  /** Makes the tables, before anything of the application is there. */
  readonly migrate?: ((engine: AsyncEngine) => Promise<unknown>) | undefined;
}

const { url: _url, embedded: _embedded, connectOnStart: _moment, ...moduleRules } = DATABASE_OPTIONS.rules;

const TESTING_OPTIONS = new OptionTable<DatabaseTestingModuleOptions>(
  'DatabaseTestingModule',
  { ...moduleRules, template: wordRule, migrate: functionRule },
  'refused',
  testingAdvice,
);

/** As for DatabaseModule, but that nothing says here where the database is. */
function testingAdvice(): Readonly<Record<string, string>> {
  const { misplaced } = DATABASE_OPTIONS;
  const ownServer =
    'leave it out: each application gets a new database, on the server of TEST_DATABASE_URL or an embedded one';
  const advice = Object.entries(misplaced).map(([name, sentence]) => [
    name,
    sentence === misplaced['host'] ? ownServer : sentence,
  ]);
  return {
    ...Object.fromEntries(advice),
    url: ownServer,
    embedded: ownServer,
    connectOnStart: 'leave it out: the database is there before the application starts',
  };
}

/**
 * DatabaseModule on a database that lives as long as the application.
 *
 * @example
 * ```ts
 * const moduleRef = await Test.createTestingModule({
 *   imports: [
 *     DatabaseTestingModule.forRoot({
 *       migrate: (engine) => engine.execute(sql`CREATE TABLE items (id int PRIMARY KEY)`),
 *     }),
 *   ],
 * }).compile();
 * ```
 */
@Module({})
export class DatabaseTestingModule {
  /**
   * Stands in for `DatabaseModule.forRoot()`: every application that is made of it gets a new, empty
   * database, dropped when the application is closed, on the server of TEST_DATABASE_URL, else on an embedded
   * PostgreSQL that is started once.
   *
   * Where it fails to migrate, the start of the application fails with that error and the database is
   * dropped.
   */
  static forRoot(options: DatabaseTestingModuleOptions = {}): DynamicModule {
    const { migrate, template, name, isGlobal, ...rest } = TESTING_OPTIONS.parse(options);
    const token = `nest-async-engine:test-database:${name ?? ''}`;
    const suite: DynamicModule = {
      module: SuiteDatabaseModule,
      // Nest shuts global modules down last, and the database must outlive its users.
      global: true,
      imports: [DatabaseCoreModule],
      providers: [
        {
          provide: token,
          inject: [Databases],
          useFactory: async (databases: Databases) =>
            new SuiteDatabase(await makeDatabase({ template }, migrate), databases),
        },
      ],
      exports: [token],
    };
    const database = DatabaseModule.forRootAsync({
      name,
      isGlobal,
      imports: [suite],
      inject: [token],
      useFactory: ({ url }: SuiteDatabase) => ({ ...rest, url }),
    });
    return { module: DatabaseTestingModule, imports: [database], exports: [database] };
  }
}

@Module({})
class SuiteDatabaseModule {}

/** The database of one application: it goes when the engine on it is closed. */
class SuiteDatabase implements OnApplicationShutdown {
  readonly #database: TestDatabase;
  readonly #databases: Databases;

  constructor(database: TestDatabase, databases: Databases) {
    this.#database = database;
    this.#databases = databases;
  }

  get url(): string {
    return this.#database.url;
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#databases.close();
    await this.#database.drop();
  }
}

async function makeDatabase(
  options: TestDatabaseOptions,
  migrate: DatabaseTestingModuleOptions['migrate'],
): Promise<TestDatabase> {
  const database = await createTestDatabase(options);
  if (migrate === undefined) return database;
  try {
    await using engine = createAsyncEngine(database.url, { poolClass: NullPool });
    await migrate(engine);
    return database;
  } catch (error) {
    await database.drop().catch(() => undefined);
    throw error;
  }
}
