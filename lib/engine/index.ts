/**
 * The engine alone, for scripts and for applications without Nest; with the contract of a driver.
 *
 * @module nest-async-engine/engine
 */
export { createAsyncEngine, createAsyncPoolFromUrl } from './create-async-engine.js';
export { asyncEngineFromConfig } from './engine-from-config.js';
export { AsyncEngine } from './engine.js';
export type { AsyncEngineOptions, PoolClass } from './engine-options.js';
export { AsyncConnection } from './connection.js';
export type { AsyncTransaction, ConnectionSource } from './connection.js';
export type { ConnectionMode } from './connection-source.js';
export type { DriverClient, DriverQuery, DriverQueryResult } from './driver-client.js';
export type { ConnectionState } from './connection-session.js';
export type { ExecutionOptions, StatementOptions } from './execution-options.js';
export type { StatementParameters } from './invocation.js';
export type { Echo, EngineLogger, LogFields } from './log.js';
export type { Dialect } from './dialect.js';
export type { DisposedEvent, EngineEvents, EngineOwnEvents, RetryEvent } from './engine-events.js';
export type {
  AfterCursorExecuteEvent,
  AfterExecuteEvent,
  BeforeCursorExecuteEvent,
  BeforeExecuteEvent,
  CommandReplacement,
  ConnectionEvents,
  HandleErrorEvent,
  OnConnection,
  OptionsEvent,
  SavepointEvent,
  StatementReplacement,
} from './connection-events.js';
export { OpenTransaction } from './open-transaction.js';
export type { ErrorMatcher, TransactionalOptions } from './open-transaction.js';
export type { Propagation } from './propagation.js';
export { isRetryable, RetryPolicy } from './retry.js';
export type { RetryOptions } from './retry.js';
export { Scope } from './scope.js';
export type { Lease, ScopeCommit, ScopeOptions } from './scope.js';
export { NestedTransaction } from './transaction/nested-transaction.js';
export { RootTransaction } from './transaction/root-transaction.js';
export type { Transaction } from './transaction/transaction.js';
export type { TransactionState } from './transaction/transaction-state.js';
export type { TransactionHook } from './transaction/hooks.js';
export type { IsolationLevel, TransactionOptions } from './transaction/isolation.js';
export type { TypeOptions, TypeParser } from './types.js';
export { DatabaseUrl, makeUrl } from './url.js';
export type { HostAddress, UpdateQueryOptions, UrlFields, UrlPassword, UrlQuery } from './url.js';
export { bindparam, BindParameter, CompiledCache, sql, Sql, text, TextClause } from './statement/index.js';
export type {
  BindParameterOptions,
  CompilableQuery,
  CompiledQuery,
  Executable,
  Parameters,
  QueryConfig,
  Row,
  SchemaTranslateMap,
  SqlTag,
  ToSqlQuery,
} from './statement/index.js';
export {
  AsyncMappingResult,
  AsyncResult,
  AsyncScalarResult,
  AsyncTupleResult,
  CursorResult,
  MappingResult,
  PendingResult,
  RowTextStream,
  ScalarResult,
  TupleResult,
} from './result/index.js';
export type {
  ColumnReference,
  FrozenResult,
  InteropObservable,
  RowObserver,
  RowReadableOptions,
  RowSubscription,
  RowTextOptions,
  StreamOptions,
} from './result/index.js';
export { AssertionPool, NullPool, Pool, PooledConnection, QueuePool, StaticPool } from './pool/index.js';
export type {
  CheckinEvent,
  CheckoutEvent,
  CheckoutOptions,
  InvalidateEvent,
  PoolEvent,
  PoolEvents,
  PoolOptions,
  ResetEvent,
  ResetOnReturn,
  ResolvedPoolOptions,
  SessionView,
} from './pool/index.js';
export type {
  Batch,
  Command,
  CommandOptions,
  CommandResult,
  Control,
  Driver,
  DriverConnection,
  DriverFacts,
  DriverRow,
  Field,
  Portal,
  RowShape,
  ServerStatus,
} from './driver/driver.js';
export {
  AfterCommitError,
  ArgumentError,
  AsyncMethodRequiredError,
  CheckViolationError,
  CommitOutcomeUnknownError,
  DataError,
  DatabaseError,
  DBAPIError,
  DeadlockDetectedError,
  EngineError,
  ExclusionViolationError,
  ForeignKeyViolationError,
  IllegalStateError,
  IntegrityError,
  InterfaceError,
  InternalError,
  InvalidRequestError,
  LockNotAvailableError,
  MultipleResultsFoundError,
  NestedScopeBusyError,
  NoActiveScopeError,
  NoInspectionAvailableError,
  NoResultFoundError,
  NoSuchDriverError,
  NotNullViolationError,
  NotStartedError,
  NotSupportedError,
  ObjectNotExecutableError,
  OperationalError,
  PendingRollbackError,
  PoolDeadlockError,
  PoolTimeoutError,
  ProgrammingError,
  PropagationError,
  QueryCanceledError,
  ResourceClosedError,
  ScopeEndedError,
  SerializationFailureError,
  StatementError,
  TransactionEndedError,
  TransactionTimeoutError,
  UnexpectedRollbackError,
  UniqueViolationError,
  ConnectionLostError,
} from './errors.js';
export type { DBAPIErrorOptions, StatementErrorOptions } from './errors.js';
