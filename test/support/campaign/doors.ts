import { firstValueFrom } from 'rxjs';
import { DatabaseModule, streamRows, Transactional, UseTransaction } from 'nest-async-engine';
import {
  asyncEngineFromConfig,
  bindparam,
  createAsyncEngine,
  createAsyncPoolFromUrl,
  makeUrl,
  RetryPolicy,
  RowTextStream,
  sql,
  text,
} from 'nest-async-engine/engine';
import type { AsyncConnection, AsyncEngine, RootTransaction } from 'nest-async-engine/engine';
import { fromChannel, fromQuery, inTransaction } from 'nest-async-engine/rx';
import { recordSql, rollbackEach, startEmbeddedPostgres } from 'nest-async-engine/testing';
import { getSettingsToken } from '../../../lib/nest/shared/database.tokens.js';
import type { Kind } from './bad-values.js';

/** The options that a door knows, by what they must be. */
export type KnownOptions = Readonly<Record<string, Kind>>;

/** What a call has to work with. */
export interface Place {
  readonly engine: AsyncEngine;
}

/** One argument of one public function, which is handed a wrong value. */
export interface Door {
  /** What the argument must be; the table of an options object. */
  readonly wants: Kind | KnownOptions;
  call(place: Place, value: never): unknown;
}

const STATEMENT: KnownOptions = {
  timeout: 'time',
  signal: 'signal',
  prepare: 'flag',
  yieldPer: 'rows',
  maxRowBuffer: 'rows',
  noParameters: 'flag',
  compiledCache: 'cache',
  schemaTranslateMap: 'settings',
  insertmanyvaluesPageSize: 'count',
  streamResults: 'flag',
};
const OF_BEGIN: KnownOptions = {
  isolationLevel: 'level',
  readOnly: 'flag',
  deferrable: 'flag',
  settings: 'settings',
};
const EXECUTION = { ...STATEMENT, ...OF_BEGIN };
const TRANSACTION: KnownOptions = {
  ...OF_BEGIN,
  timeout: 'time',
  lockTimeout: 'time',
  statementTimeout: 'time',
  label: 'text',
};
const RETRY: KnownOptions = {
  retries: 'count',
  baseDelay: 'time',
  maxDelay: 'time',
  retryOn: 'synchronous',
  onRetry: 'function',
};
const TRANSACTIONAL: KnownOptions = {
  ...TRANSACTION,
  propagation: 'never',
  rollbackFor: 'list',
  noRollbackFor: 'list',
};
const SCOPE: KnownOptions = { label: 'text', commit: 'never', owner: 'object' };
const ENGINE: KnownOptions = {
  poolSize: 'count',
  maxOverflow: 'limit',
  poolTimeout: 'time',
  poolPrePing: 'flag',
  poolUseLifo: 'flag',
  echo: 'flag',
  loggingName: 'text',
  hideParameters: 'flag',
  slowStatementThreshold: 'time',
  isolationLevel: 'level',
  queryCacheSize: 'count',
  preparedStatementCacheSize: 'count',
  pgbouncer: 'flag',
  multiplex: 'flag',
  statementTimeout: 'time',
  lockTimeout: 'time',
  settings: 'settings',
  jsonSerializer: 'synchronous',
  nestedWaitTimeout: 'time',
  logger: 'never',
  asyncCreator: 'function',
};
const MODULE: KnownOptions = {
  ...ENGINE,
  isGlobal: 'flag',
  connectOnStart: 'never',
  retryDelay: 'time',
  toRetry: 'synchronous',
  verboseRetryLog: 'flag',
  shutdownTimeout: 'time',
};
const QUERY: KnownOptions = {
  batchSize: 'rows',
  project: 'function',
  timeout: 'time',
  signal: 'signal',
  pace: 'never',
};

const URL = 'postgresql://user@host/database';
const one = text('SELECT 1 AS a');
const work = (): Promise<void> => Promise.resolve();

const inConnection = (use: (connection: AsyncConnection) => unknown) => (place: Place) =>
  place.engine.connect(async (connection) => use(connection));
const inRoot = (use: (transaction: RootTransaction<AsyncConnection>) => unknown) =>
  inConnection((connection) => connection.begin(async (transaction) => use(transaction)));

interface SettingsProvider {
  readonly provide: unknown;
  useFactory(databases: { closeOnFailure<T>(make: () => T): T }): unknown;
}

/** Calls what Nest calls to get the options of a module. */
function startModule(options: never): unknown {
  const providers = (DatabaseModule.forRoot(options).providers ?? []) as readonly SettingsProvider[];
  const settings = providers.find(({ provide }) => provide === getSettingsToken('default'));
  if (settings === undefined) return 'there are no settings';
  return settings.useFactory({ closeOnFailure: (make) => make() });
}

const ENGINE_DOORS: Readonly<Record<string, Door>> = {
  'execute(statement)': { wants: 'statement', call: ({ engine }, value) => engine.execute(value) },
  'execute(, parameters)': {
    wants: 'parameters',
    call: ({ engine }, value) => engine.execute(text('SELECT :a::text'), value),
  },
  'execute(, , options)': {
    wants: STATEMENT,
    call: ({ engine }, value) => engine.execute(one, undefined, value),
  },
  'scalar(, , options)': {
    wants: STATEMENT,
    call: ({ engine }, value) => engine.scalar(one, undefined, value),
  },
  'scalars(statement)': { wants: 'statement', call: ({ engine }, value) => engine.scalars(value) },
  'stream(statement)': { wants: 'statement', call: ({ engine }, value) => engine.stream(value).all() },
  'stream(, parameters)': {
    wants: 'parameters',
    call: ({ engine }, value) => engine.stream(text('SELECT :a::text'), value).all(),
  },
  'stream(, , options)': {
    wants: STATEMENT,
    call: ({ engine }, value) => engine.stream(one, undefined, value).all(),
  },
  'streamScalars(, , options)': {
    wants: STATEMENT,
    call: ({ engine }, value) => engine.streamScalars(one, undefined, value).all(),
  },
  'execDriverSql(sql)': { wants: 'text', call: ({ engine }, value) => engine.execDriverSql(value) },
  'execDriverSql(, parameters)': {
    wants: 'list',
    call: ({ engine }, value) => engine.execDriverSql('SELECT 1', value ?? ('x' as never)),
  },
  'execDriverSql(, , options)': {
    wants: STATEMENT,
    call: ({ engine }, value) => engine.execDriverSql('SELECT 1', [], value),
  },
  'copyFrom(sql)': { wants: 'statement', call: ({ engine }, value) => engine.copyFrom(value, []) },
  'copyFrom(, , options)': {
    wants: STATEMENT,
    call: ({ engine }, value) => engine.copyFrom('COPY pg_temp.none FROM STDIN', [], value),
  },
  'copyTo(sql)': { wants: 'statement', call: ({ engine }, value) => engine.copyTo(value).toArray() },
  'copyTo(, options)': {
    wants: STATEMENT,
    call: ({ engine }, value) => engine.copyTo('COPY (SELECT 1) TO STDOUT', value).toArray(),
  },
  'connect(work)': { wants: 'function', call: ({ engine }, value) => engine.connect(value) },
  'begin(work)': { wants: 'function', call: ({ engine }, value) => engine.begin(value) },
  'begin(, options)': { wants: TRANSACTION, call: ({ engine }, value) => engine.begin(work, value) },
  'transaction(work)': { wants: 'function', call: ({ engine }, value) => engine.transaction(value) },
  'transaction(, options)': {
    wants: TRANSACTIONAL,
    call: ({ engine }, value) => engine.transaction(work, value),
  },
  'transaction(, { retry })': {
    wants: RETRY,
    call: ({ engine }, retry) =>
      engine.transaction(work, { retry: typeof retry === 'number' ? null : retry } as never),
  },
  'openTransaction(options)': {
    wants: TRANSACTIONAL,
    call: ({ engine }, value) => engine.openTransaction(value).rollback(undefined),
  },
  'scope(work)': { wants: 'function', call: ({ engine }, value) => engine.scope(value) },
  'scope(, options)': { wants: SCOPE, call: ({ engine }, value) => engine.scope(work, value) },
  'scope(, { connection })': {
    wants: EXECUTION,
    // A function that gives them is right here, and has a door of its own.
    call: ({ engine }, value) =>
      engine.scope(work, { connection: typeof value === 'function' ? (null as never) : value }),
  },
  'scope(, { connection: () => })': {
    wants: EXECUTION,
    // A promise of options is right here: it is awaited.
    call: ({ engine }, value) =>
      engine.scope(() => engine.currentConnection().scalar(one), {
        connection: () => (Object(value) instanceof Promise ? (null as never) : value),
      }),
  },
  'executionOptions(options)': {
    wants: EXECUTION,
    call: ({ engine }, value) => engine.executionOptions(value),
  },
  'updateExecutionOptions(options)': {
    wants: EXECUTION,
    call: ({ engine }, value) => engine.updateExecutionOptions(value),
  },
  'ping(options)': { wants: { timeout: 'time' }, call: ({ engine }, value) => engine.ping(value) },
  'drain(timeout)': { wants: 'time', call: (_, value) => createAsyncEngine(URL).drain(value) },
  'dispose(options)': { wants: { close: 'flag' }, call: (_, value) => createAsyncEngine(URL).dispose(value) },
  'on(, listener)': { wants: 'function', call: ({ engine }, value) => engine.on('begin', value) },
  'on(event)': { wants: 'never', call: ({ engine }, value) => engine.on(value, (() => undefined) as never) },
  'once(, listener)': { wants: 'function', call: ({ engine }, value) => engine.once('begin', value) },
  'off(, listener)': { wants: 'never', call: ({ engine }, value) => engine.off('begin', value) },
  'afterCommit(hook)': { wants: 'function', call: ({ engine }, value) => engine.afterCommit(value) },
  'beforeCommit(hook)': {
    wants: 'function',
    call: ({ engine }, value) => engine.transaction(async () => engine.beforeCommit(value)),
  },
  'echo = ': { wants: 'flag', call: ({ engine }, value) => (engine.echo = value) },
};

const CONNECTION_DOORS: Readonly<Record<string, Door>> = {
  'connection.execute(statement)': {
    wants: 'statement',
    call: (place, value) => inConnection((c) => c.execute(value))(place),
  },
  'connection.execute(, , options)': {
    wants: STATEMENT,
    call: (place, value) => inConnection((c) => c.execute(one, undefined, value))(place),
  },
  'connection.stream(, , options)': {
    wants: STATEMENT,
    call: (place, value) => inConnection((c) => c.stream(one, undefined, value).all())(place),
  },
  'connection.begin(work, )': {
    wants: 'function',
    call: (place, value) => inConnection((c) => c.begin(value, {}))(place),
  },
  'connection.begin(, options)': {
    wants: TRANSACTION,
    call: (place, value) => inConnection((c) => c.begin(work, value))(place),
  },
  'connection.begin(options)': {
    wants: TRANSACTION,
    call: (place, value) =>
      inConnection((c) => c.begin(typeof value === 'function' ? (null as never) : value))(place),
  },
  'connection.beginNested(work)': {
    wants: 'function',
    call: (place, value) => inConnection((c) => c.beginNested(value))(place),
  },
  'connection.executionOptions(options)': {
    wants: EXECUTION,
    call: (place, value) => inConnection((c) => c.executionOptions(value))(place),
  },
  'connection.run(work)': {
    wants: 'function',
    call: (place, value) => inConnection((c) => c.run(value))(place),
  },
  'connection.on(, listener)': {
    wants: 'function',
    call: (place, value) => inConnection((c) => c.on('begin', value))(place),
  },
  'transaction.afterCommit(hook)': {
    wants: 'function',
    call: (place, value) => inRoot((t) => t.afterCommit(value))(place),
  },
  'transaction.afterRollback(hook)': {
    wants: 'function',
    call: (place, value) => inRoot((t) => t.afterRollback(value))(place),
  },
  'result.fetchMany(count)': {
    wants: 'count',
    call: async ({ engine }, value) => (await engine.execute(one)).fetchMany(value),
  },
  'result.partitions(size)': {
    wants: 'count',
    call: async ({ engine }, value) => [...(await engine.execute(one)).partitions(value)],
  },
  'result.unique(key)': {
    wants: 'function',
    call: async ({ engine }, value) => (await engine.execute(one)).unique(value).all(),
  },
  'result.yieldPer(count)': {
    wants: 'count',
    call: async ({ engine }, value) => (await engine.execute(one)).yieldPer(value),
  },
  'result.scalars(column)': {
    wants: 'column',
    call: async ({ engine }, value) =>
      (await engine.execute(text('SELECT 1 AS a LIMIT 1'))).scalars(value).all(),
  },
  'stream.fetchMany(count)': {
    wants: 'count',
    call: ({ engine }, value) => inConnection((c) => c.stream(one).fetchMany(value))({ engine }),
  },
  'stream.yieldPer(count)': {
    wants: 'rows',
    call: ({ engine }, value) => engine.stream(one).yieldPer(value).all(),
  },
  'stream.unique(key)': {
    wants: 'function',
    call: ({ engine }, value) => engine.stream(one).unique(value).all(),
  },
  'RowTextStream(result)': {
    wants: 'never',
    call: (_, value) => new RowTextStream(value, { format: 'csv' }),
  },
  'RowTextStream(, options)': {
    wants: { format: 'never', header: 'flag', byteOrderMark: 'flag', escapeFormulas: 'flag' },
    call: ({ engine }, value) => new RowTextStream(engine.stream(one), value),
  },
  'streamRows(, options)': {
    wants: { format: 'never', header: 'flag', filename: 'text' },
    call: ({ engine }, value) => streamRows(engine.stream(one), value),
  },
};

const FREE_DOORS: Readonly<Record<string, Door>> = {
  'createAsyncEngine(url)': { wants: 'url', call: (_, value) => createAsyncEngine(value) },
  'createAsyncEngine(, options)': { wants: ENGINE, call: (_, value) => createAsyncEngine(URL, value) },
  'createAsyncEngine(, { transactional })': {
    wants: TRANSACTIONAL,
    call: (_, transactional) => createAsyncEngine(URL, { transactional }),
  },
  'createAsyncEngine(, { executionOptions })': {
    wants: EXECUTION,
    call: (_, executionOptions) => createAsyncEngine(URL, { executionOptions }),
  },
  'createAsyncPoolFromUrl(, options)': {
    wants: { poolSize: 'count', poolPrePing: 'flag', poolTimeout: 'time' },
    call: (_, value) => createAsyncPoolFromUrl(URL, value),
  },
  'asyncEngineFromConfig(config)': { wants: 'never', call: (_, value) => asyncEngineFromConfig(value) },
  'asyncEngineFromConfig(, prefix)': {
    wants: 'text',
    call: (_, value) => asyncEngineFromConfig({ 'database.url': URL }, value),
  },
  'asyncEngineFromConfig(, , overrides)': {
    wants: ENGINE,
    call: (_, value) => asyncEngineFromConfig({ 'database.url': URL }, undefined, value),
  },
  'makeUrl(url)': { wants: 'url', call: (_, value) => makeUrl(value) },
  'makeUrl().set(fields)': { wants: 'parameters', call: (_, value) => makeUrl(URL).set(value) },
  'makeUrl().updateQueryDict(query)': {
    wants: 'parameters',
    call: (_, value) => makeUrl(URL).updateQueryDict(value),
  },
  'makeUrl().updateQueryString(query)': {
    wants: 'text',
    call: (_, value) => makeUrl(URL).updateQueryString(value),
  },
  'text(sql)': { wants: 'text', call: (_, value) => text(value) },
  'bindparam(name)': { wants: 'text', call: (_, value) => bindparam(value) },
  'bindparam(, options)': { wants: { expanding: 'flag' }, call: (_, value) => bindparam('a', value) },
  'text().bindparams()': { wants: 'parameters', call: (_, value) => text('SELECT :a').bindparams(value) },
  'sql.id(name)': { wants: 'name', call: (_, value) => sql.id(value) },
  'sql.raw(text)': { wants: 'text', call: (_, value) => sql.raw(value) },
  'sql.join(parts)': { wants: 'list', call: (_, value) => sql.join(value) },
  'sql.join(, separator)': { wants: 'never', call: (_, value) => sql.join([1, 2], value) },
  'sql.values(rows)': { wants: 'never', call: (_, value) => sql.values(value) },
  'sql.values([row])': { wants: 'row', call: (_, value) => sql.values([value]) },
  'sql.array(values)': { wants: 'list', call: (_, value) => sql.array(value, 'int4') },
  'sql.array(, type)': { wants: 'name', call: (_, value) => sql.array([1], value) },
  'new RetryPolicy(retry)': {
    wants: RETRY,
    call: (_, value) => new RetryPolicy(typeof value === 'number' ? (null as never) : value),
  },
  'fromQuery(source)': { wants: 'engine', call: (_, value) => firstValueFrom(fromQuery(value, one)) },
  'fromQuery(, statement)': {
    wants: 'statement',
    call: ({ engine }, value) => firstValueFrom(fromQuery(engine, value)),
  },
  'fromQuery(, , , options)': {
    wants: QUERY,
    call: ({ engine }, value) => firstValueFrom(fromQuery(engine, one, undefined, value)),
  },
  'fromChannel(engine)': { wants: 'engine', call: (_, value) => fromChannel(value, 'c') },
  'fromChannel(, channel)': { wants: 'name', call: ({ engine }, value) => fromChannel(engine, value) },
  'fromChannel(, , options)': {
    wants: { onListen: 'function' },
    call: ({ engine }, value) => fromChannel(engine, 'c', value),
  },
  'inTransaction(engine)': { wants: 'engine', call: (_, value) => inTransaction(value) },
  'inTransaction(, options)': {
    wants: TRANSACTIONAL,
    call: ({ engine }, value) => inTransaction(engine, value),
  },
  'DatabaseModule.forRoot(options)': { wants: MODULE, call: (_, value) => startModule(value) },
  'DatabaseModule.forRoot({ requestScope })': {
    wants: { orphanTimeout: 'time', connection: 'synchronous', commit: 'never' },
    call: (_, requestScope) => startModule({ requestScope } as never),
  },
  'DatabaseModule.forRootAsync(options)': {
    wants: { isGlobal: 'flag', useFactory: 'function' },
    call: (_, value) => DatabaseModule.forRootAsync(value),
  },
  'Transactional(options)': { wants: TRANSACTIONAL, call: (_, value) => Transactional(value) },
  'UseTransaction(options)': { wants: TRANSACTIONAL, call: (_, value) => UseTransaction(value) },
  'recordSql(engine)': { wants: 'engine', call: (_, value) => recordSql(value) },
  'recordSql(, options)': {
    wants: { control: 'flag' },
    call: ({ engine }, value) => recordSql(engine, value).stop(),
  },
  'rollbackEach(, options)': {
    wants: { turnTimeout: 'time', settleTimeout: 'time', beforeEach: 'function' },
    call: ({ engine }, value) => rollbackEach(engine, value),
  },
  'startEmbeddedPostgres(options)': {
    wants: { port: 'count', settings: 'settings', dataDir: 'text' },
    call: (_, value) => startEmbeddedPostgres(value),
  },
};

/** Every argument of the public functions that a user may get wrong. */
export const DOORS: Readonly<Record<string, Door>> = { ...ENGINE_DOORS, ...CONNECTION_DOORS, ...FREE_DOORS };
