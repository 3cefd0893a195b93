import { PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely';
import type { DatabaseIntrospector, Dialect, DialectAdapter, Driver, Kysely, QueryCompiler } from 'kysely';
import { ArgumentError, type AsyncEngine } from '../../engine/index.js';
import { describeValue } from '../../engine/util/describe-value.js';
import { EngineDriver } from './engine-driver.js';

/**
 * Runs Kysely over an engine: `execute()`, `stream()`, transactions, plugins and the migrator work as ever,
 * on the engine's connections. Inside a transaction of the engine, ambient or by `@Transactional`, everything
 * is part of that: a transaction of Kysely's is a savepoint there.
 *
 * Values and errors are the engine's, as those of `engine.execute(query)`: `int8` is a string, `date` is
 * `YYYY-MM-DD`, see its option `types`. A stream may be read while other statements run. `destroy()` does
 * nothing, the engine goes on.
 *
 * @example
 * ```ts
 * const db = new Kysely<{ orders: { customer: string } }>({ dialect: new EngineDialect(engine) });
 * await engine.transaction(async () => {
 *   await db.insertInto('orders').values({ customer: 'Ada' }).execute();
 *   await engine.execute(sql`UPDATE stock SET n = n - 1`); // both are stored, or none
 * });
 * ```
 */
export class EngineDialect implements Dialect {
  readonly #engine: AsyncEngine;

  /** @throws ArgumentError for what is not an engine. */
  constructor(engine: AsyncEngine) {
    if (typeof (engine as Partial<AsyncEngine> | null | undefined)?.rawConnection !== 'function') {
      throw new ArgumentError(`new EngineDialect() needs an AsyncEngine; got ${describeValue(engine)}.`);
    }
    this.#engine = engine;
  }

  /** What PostgreSQL can. */
  createAdapter(): DialectAdapter {
    return new PostgresAdapter();
  }

  /** What runs queries on the engine. */
  createDriver(): Driver {
    return new EngineDriver(this.#engine);
  }

  /** What finds the tables of the database. */
  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return new PostgresIntrospector(db);
  }

  /** What writes SQL for PostgreSQL. */
  createQueryCompiler(): QueryCompiler {
    return new PostgresQueryCompiler();
  }
}
