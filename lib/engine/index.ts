/**
 * The engine alone, for scripts and for applications without Nest; with the contract of a driver.
 *
 * @module nest-async-engine/engine
 */
export { createAsyncEngine, createAsyncPoolFromUrl, createDriver } from './create-async-engine.js';
export { asyncEngineFromConfig } from './engine-from-config.js';
export { AsyncEngine } from './engine.js';
export type { AsyncEngineOptions, DriverOptions, PoolClass } from './engine-options.js';
export { AsyncConnection } from './connection/connection.js';
export type { AsyncTransaction, ConnectionEngine } from './connection/connection.js';
export type {
  DriverCallback,
  DriverClient,
  DriverQuery,
  DriverQueryResult,
} from './connection/driver-client.js';
export type { ConnectionState } from './connection/connection-session.js';
export type {
  CopyToOptions,
  ExecuteOptions,
  ExecutionOptions,
  StatementOptions,
} from './execution/execution-options.js';
export type { CopyChunk, CopyInput } from './execution/copy/copy-from.js';
export type { CopyProgress } from './execution/copy/copy-progress.js';
export { CopyToStream } from './execution/copy/copy-to-stream.js';
export type { StatementParameters } from './execution/invocation.js';
export type { ListenerOptions } from './util/event-hub.js';
export type { Echo, EngineLogger, LogFields } from './util/logger.js';
export type { Dialect } from './connection/connection-host.js';
export type {
  EngineDisposedEvent,
  EngineEvents,
  EngineOwnEvents,
  ReplicaEvent,
  RetryEvent,
} from './engine-events.js';
export type {
  AfterCursorExecuteEvent,
  AfterExecuteEvent,
  BeforeCursorExecuteEvent,
  BeforeExecuteEvent,
  CommandReplacement,
  CommitResolvedEvent,
  ConnectionEvents,
  CopyProgressEvent,
  ExecutemanyProgressEvent,
  HandleErrorEvent,
  OptionsEvent,
  SavepointEvent,
  StatementFacts,
  StatementReplacement,
} from './execution/connection-events.js';
export type { ConnectionEvent } from './execution/event-place.js';
export type { StatementEvent } from './execution/statement-event.js';
export type { TransactionEvent } from './execution/transaction-event.js';
export type { TransactionOutcome } from './transaction/transaction-observation.js';
export type { AcquireEvent, ConnectTrace, PoolEngine, PoolFigures } from './pool/pool-trace.js';
export type { ExclusiveOutcome } from './ambient/exclusive.js';
export type { ExclusiveOptions } from './ambient/exclusive-options.js';
export { OpenTransaction } from './ambient/open-transaction.js';
export type { ErrorMatcher, TransactionalOptions } from './ambient/open-transaction.js';
export type { Propagation } from './ambient/propagation.js';
export { isRetryable, isTransient, RetryPolicy } from './transaction/retry.js';
export type { RetryOptions } from './transaction/retry.js';
export { Scope } from './ambient/scope.js';
export { UnitOfWork } from './ambient/unit-of-work.js';
export type { Lease } from './ambient/scope.js';
export type { ScopeCommit, ScopeOptions } from './ambient/scope-options.js';
export { NestedTransaction } from './transaction/nested-transaction.js';
export { RootTransaction } from './transaction/root-transaction.js';
export type { Transaction } from './transaction/transaction.js';
export type { TransactionState } from './transaction/transaction-state.js';
export type { TransactionHook } from './transaction/hooks.js';
export type { IsolationLevel, TransactionOptions } from './transaction/isolation.js';
export type { TypeOptions, TypeParser } from './driver/types/types.js';
export { DatabaseUrl, makeUrl } from './driver/url/url.js';
export type { HostAddress, UpdateQueryOptions, UrlFields, UrlPassword, UrlQuery } from './driver/url/url.js';
export { CompiledCache } from './statement/compiled-cache.js';
export { Sql } from './statement/sql-fragment.js';
export { sql } from './statement/sql.js';
export { bindparam, BindParameter, text, TextClause } from './statement/text.js';
export { transactionCommand } from './statement/transaction-command.js';
export type { TransactionCommand, TransactionCommandKind } from './statement/transaction-command.js';
export type {
  CompilableQuery,
  CompiledQuery,
  Executable,
  QueryConfig,
  ToSqlQuery,
} from './statement/executable.js';
export type { Parameters, Row } from './statement/row.js';
export type { SchemaTranslateMap } from './statement/sql-fragment.js';
export type { SqlTag } from './statement/sql.js';
export type { BindParameterOptions } from './statement/text.js';
export {
  AsyncMappingResult,
  AsyncResult,
  AsyncScalarResult,
  AsyncTupleResult,
} from './result/async-result.js';
export { CursorResult, MappingResult, ScalarResult, TupleResult } from './result/cursor-result.js';
export { PendingResult } from './result/pending-result.js';
export type { PendingView } from './result/pending-result.js';
export { RowTextStream } from './result/text/row-text-stream.js';
export type { FrozenResult } from './result/cursor-result.js';
export type { InteropObservable, RowObserver, RowSubscription } from './result/observable-interop.js';
export type { ColumnReference } from './result/projection.js';
export type { StreamOptions } from './result/stream-source.js';
export type { RowReadableOptions } from './result/streamed-result.js';
export type { RowTextOptions } from './result/text/row-format.js';
export { AssertionPool } from './pool/kinds/assertion-pool.js';
export { NullPool } from './pool/kinds/null-pool.js';
export { Pool } from './pool/pool.js';
export { PooledConnection } from './pool/pooled-connection.js';
export { QueuePool } from './pool/kinds/queue-pool.js';
export { StaticPool } from './pool/kinds/static-pool.js';
export type {
  CheckinEvent,
  CheckoutEvent,
  DoConnectEvent,
  InvalidateEvent,
  NoticeEvent,
  PoolEvent,
  PoolEvents,
  ResetEvent,
} from './pool/pool-events.js';
export type { PoolOptions, ResetOnReturn, ResolvedPoolOptions } from './pool/pool-options.js';
export type { PrimaryForOptions, ReadYourWrites, ReplicaOptions } from './pool/replicas/replica-options.js';
export { isConsistencyToken } from './pool/replicas/write-mark.js';
export type { ReplicaProblem, Replicas, ReplicaStatus } from './pool/replicas/replica.js';
export type { CommitOutcome } from './transaction/outcome.js';
export type { SessionView } from './driver/session-views.js';
export type { ConnectionRecord } from './pool/connection-record.js';
export type { CheckoutOptions } from './pool/waiting-line.js';
export type {
  AnswerReceiver,
  Batch,
  Command,
  CommandList,
  CommandOptions,
  CommandResult,
  ConnectAttempt,
  CopySink,
  CopySource,
  Control,
  CsvField,
  CsvLines,
  Driver,
  DriverConnection,
  DriverFacts,
  DriverRow,
  Field,
  Portal,
  RowShape,
  SessionNotice,
  ServerRole,
  SessionServer,
  SettingAssignment,
  ServerStatus,
} from './driver/driver.js';
export {
  AfterCommitError,
  ArgumentError,
  AsyncMethodRequiredError,
  CommitLostError,
  CommitOutcomeUnknownError,
  DBAPIError,
  EngineError,
  IllegalStateError,
  InterfaceError,
  InvalidRequestError,
  MigrationError,
  MultipleResultsFoundError,
  NestedScopeBusyError,
  NoActiveScopeError,
  NoInspectionAvailableError,
  NoReplicaError,
  NoResultFoundError,
  NoSuchDriverError,
  NotStartedError,
  ObjectNotExecutableError,
  PendingRollbackError,
  PoolDeadlockError,
  PoolOverloadError,
  PoolTimeoutError,
  PropagationError,
  ResourceClosedError,
  ScopeEndedError,
  StatementError,
  TransactionEndedError,
  TransactionTimeoutError,
  UnexpectedRollbackError,
  UnsubscribedError,
} from './errors/errors.js';
export type { DBAPIErrorOptions, StatementErrorOptions } from './errors/errors.js';
export {
  CheckViolationError,
  ConnectError,
  ConnectionLostError,
  DatabaseError,
  DataError,
  DeadlockDetectedError,
  ExclusionViolationError,
  ForeignKeyViolationError,
  IntegrityError,
  InternalError,
  LockNotAvailableError,
  NotNullViolationError,
  NotSupportedError,
  OperationalError,
  ProgrammingError,
  QueryCanceledError,
  ReadOnlyTransactionError,
  SerializationFailureError,
  UniqueViolationError,
} from './errors/server-errors.js';
export type { ChannelHandlers, Notification, NotificationHub } from './execution/notification-hub.js';
