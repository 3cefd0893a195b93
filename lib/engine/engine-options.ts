import type { TransactionalOptions } from './ambient/open-transaction.js';
import type { Driver } from './driver/driver.js';
import type { TypeOptions, TypeParser } from './driver/types/types.js';
import type { ExecutionOptions } from './execution/execution-options.js';
import type { PoolOptions } from './pool/pool-options.js';
import type { Pool } from './pool/pool.js';
import type { ReplicaOptions } from './pool/replicas/replica-options.js';
import type { IsolationLevel } from './transaction/isolation.js';
import type { Echo } from './util/logger.js';
import { durationRule, flagRule, LONGEST_TIMER } from './util/option-rule.js';
import { OptionTable } from './util/option-table.js';

/** Makes a pool over a driver: `QueuePool`, `NullPool`, `StaticPool`, `AssertionPool`. */
export type PoolClass = new (driver: Driver, options: PoolOptions) => Pool;

/** Options of an engine that concern its driver alone. */
export const DRIVER_OPTIONS = [
  'asyncCreator',
  'connectArgs',
  'password',
  'connectTimeout',
  'socketTimeout',
  'deadHostMemory',
  'commitOutcome',
  'executemany',
  'settingsAs',
  'preparedStatementCacheSize',
  'preparedStatementMaxAge',
  'statementTimeout',
  'lockTimeout',
  'idleInTransactionTimeout',
  'applicationName',
  'settings',
  'types',
  'jsonSerializer',
  'jsonDeserializer',
] as const;

/** Options that a driver has in common with the engine and the pool that use it. */
const SHARED_OPTIONS = ['pgbouncer', 'hideParameters', 'logger'] as const;

/** Options of `createDriver`; they mean what they mean for `createAsyncEngine`. */
export type DriverOptions = Pick<
  AsyncEngineOptions,
  (typeof DRIVER_OPTIONS)[number] | (typeof SHARED_OPTIONS)[number]
>;

/** Names of all options of a driver. */
export const driverOptionNames: readonly string[] = [...DRIVER_OPTIONS, ...SHARED_OPTIONS];

/** Options of `createAsyncEngine`. Times in ms. What is not listed is refused. */
export interface AsyncEngineOptions extends PoolOptions {
  /** Default `QueuePool`. */
  readonly poolClass?: PoolClass | undefined;
  /** A pool that exists already; then the engine takes no other option of a pool. */
  readonly pool?: Pool | undefined;
  /**
   * Opens each connection in place of the URL and `connectArgs`: gives a `pg` Client that is connected. Not
   * for PGlite.
   */
  readonly asyncCreator?: (() => Promise<unknown>) | undefined;
  /** Writes statements, BEGIN, COMMIT and ROLLBACK to the logger; `'debug'`: rows too. Default false. */
  readonly echo?: Echo | undefined;
  /**
   * Writes invalidations of the pool to the logger; `'debug'`: each checkout and return too. Default false.
   */
  readonly echoPool?: Echo | undefined;
  /** Tells the lines of several engines apart: `AsyncEngine.orders`. */
  readonly loggingName?: string | undefined;
  /** The same for the lines of the pool: `QueuePool.orders`. */
  readonly poolLoggingName?: string | undefined;
  /** Keeps values of parameters out of the log and of the messages of errors. Default false. */
  readonly hideParameters?: boolean | undefined;
  /** Statements that take longer, in ms, are warned of with the place that executed them. Default: none. */
  readonly slowStatementThreshold?: number | undefined;
  /** Parameter sets of an executemany that travel together. Default 1,000. */
  readonly insertmanyvaluesPageSize?: number | undefined;
  /** Of every transaction, as in {@link ExecutionOptions}. Default: the server's. */
  readonly isolationLevel?: IsolationLevel | undefined;
  /** What every connection and statement begins with. */
  readonly executionOptions?: ExecutionOptions | undefined;
  /** The driver's own options; they win over the URL. */
  readonly connectArgs?: Readonly<Record<string, unknown>> | undefined;
  /** Wins over the URL's; a function is asked for each new connection, so that tokens can rotate. */
  readonly password?: string | (() => Promise<string>) | undefined;
  /**
   * For one attempt to connect, in ms: the hosts of a URL share it, in equal parts of what is left. Default:
   * the URL's `connect_timeout`, which counts seconds, else 10,000; 0: no limit.
   */
  readonly connectTimeout?: number | undefined;
  /**
   * Ends a session on which the server has sent nothing for so many ms while an answer was due: a server that
   * is frozen, or whose machine is gone. Longer than the longest statement. Default 0: no limit.
   */
  readonly socketTimeout?: number | undefined;
  /**
   * For so many ms a host of the URL that did not answer, or that refused a write as read-only, is tried
   * behind the others. Default 30,000; 0: never.
   */
  readonly deadHostMemory?: number | undefined;
  /** Compiled `text()` statements that are kept. Default 500; 0: none. */
  readonly queryCacheSize?: number | undefined;
  /** Named statements per connection. Default 100; 0: none, and 0 by default with `pgbouncer`. */
  readonly preparedStatementCacheSize?: number | undefined;
  /**
   * How long a named statement is used before it is parsed anew, in ms: what other programs change in the
   * schema is noticed at the latest then. Default 300,000; 0: no limit.
   */
  readonly preparedStatementMaxAge?: number | undefined;
  /**
   * Friendly to poolers in transaction mode: no named statements, and no session settings but those that
   * poolers track (`applicationName`, TimeZone, DateStyle, client_encoding), which leave with the start of a
   * session. Default: the URL's `pgbouncer`, else false.
   */
  readonly pgbouncer?: boolean | undefined;
  /**
   * Plain reads outside of transactions that are known to be quick share connections when there are many at
   * once. Default true; false by default with `pgbouncer`. Never with a driver of one session.
   */
  readonly multiplex?: boolean | undefined;
  /**
   * The server's `statement_timeout` of each session. Default: the server's; 0: none. Refused over PGlite.
   */
  readonly statementTimeout?: number | undefined;
  /** The server's `lock_timeout` of each session. Default: the server's; 0: none. */
  readonly lockTimeout?: number | undefined;
  /**
   * The server's `idle_in_transaction_session_timeout`. Default: the server's; 0: none. Refused over PGlite.
   */
  readonly idleInTransactionTimeout?: number | undefined;
  /** The name of each session in `pg_stat_activity`. Default: the URL's `application_name`. */
  readonly applicationName?: string | undefined;
  /** Applied to each new connection after it is open. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /**
   * How values of a type arrive: `{ int8: 'bigint' }`, `'text'`, or a parser, by type name or oid; arrays
   * follow.
   */
  readonly types?: TypeOptions | undefined;
  /** Makes the text of an object that is sent as a value. Default `JSON.stringify`. */
  readonly jsonSerializer?: ((value: unknown) => string) | undefined;
  /** Reads json and jsonb. Default `JSON.parse`; `types` wins over it. */
  readonly jsonDeserializer?: TypeParser | undefined;
  /**
   * How long a statement or a nested transaction waits for another one beside it in which nothing runs.
   * Default 10,000.
   */
  readonly nestedWaitTimeout?: number | undefined;
  /**
   * How long the server may take for COMMIT, deferred constraints included; then `CommitOutcomeUnknownError`.
   * Default 60,000.
   */
  readonly commitTimeout?: number | undefined;
  /**
   * What becomes of a COMMIT whose connection is lost before its answer. `'report'`: it is a
   * `CommitOutcomeUnknownError`. `'resolve'`: the server is asked, for `commitTimeout` ms at most. Then the
   * call resolves where the data is stored; it is a `CommitLostError`, which `retry` runs again, where it is
   * not; and it stays unknown where nothing can say it. Costs one round trip for each session, a few µs for
   * each transaction that writes. Default `'report'`. Without effect over PGlite.
   */
  readonly commitOutcome?: 'resolve' | 'report' | undefined;
  /**
   * How an executemany of a one-row INSERT is sent. `'arrays'`: one INSERT of arrays for each page. `'rows'`:
   * an INSERT for each row, in one flight. Default `'auto'`: arrays; on Citus rows where the list is shorter
   * than 50 or the statement has RETURNING, so that rows come back in the order of the list.
   */
  readonly executemany?: 'auto' | 'arrays' | 'rows' | undefined;
  /**
   * How `settings` and time-outs of transactions and statements are set. `'set_config'`: by that function,
   * with bound values. `'set local'`: by SET LOCAL with quoted values, which Citus hands on to its workers.
   * Default `'set_config'`; `'set local'` where `settings` has `citus.propagate_set_commands: 'local'`.
   */
  readonly settingsAs?: 'set_config' | 'set local' | undefined;
  /**
   * Standbys for work with `readOnly: true`. Not together with `pool` or `asyncCreator`, nor for PGlite.
   * Default: none, and nothing is paid.
   */
  readonly replicas?: ReplicaOptions | undefined;
  /** What `transaction()` and `@Transactional()` do where their own options are silent. */
  readonly transactional?: TransactionalOptions | undefined;
}

/** How long a ping may take, in ms, at least 1. */
export interface PingOptions {
  readonly timeout?: number | undefined;
}

/** What each option of a ping may be. */
export const PING_OPTIONS = new OptionTable<PingOptions>(
  'ping',
  { timeout: durationRule(1, `milliseconds from 1 to ${LONGEST_TIMER}`) },
  'refused',
);

/** What each option of `dispose()` may be. */
export const DISPOSE_OPTIONS = new OptionTable<{ readonly close?: boolean }>(
  'dispose',
  { close: flagRule },
  'refused',
);
