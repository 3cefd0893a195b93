import type { CopyProgress } from './copy/copy-progress.js';
import { EXECUTION_CHANNELS, type ConnectionEvent } from './event-place.js';
import type { ExecutionOptions, StatementOptions } from './execution-options.js';
import type { StatementEvent } from './statement-event.js';
import type { TransactionEvent } from './transaction-event.js';
import type { ServerRole, SessionServer } from '../driver/driver.js';
import { EventChannels, type EventTiming } from '../util/event-hub.js';
import type { Executable } from '../statement/executable.js';
import type { Parameters } from '../statement/row.js';
import type { CommitOutcome } from '../transaction/outcome.js';

/**
 * What each event says of its statement. The events of one statement are one object from its call to its end:
 * what a listener hangs on it, the next one finds.
 */
export interface StatementFacts<Connection> extends ConnectionEvent<Connection> {
  /** Of this statement alone in the process. */
  readonly id: string;
  /** When it was called, by `performance.now()`. */
  readonly startedAt: number;
  /** Where it runs; known from `beforeCursorExecute` on. Undefined with PGlite. */
  readonly server: SessionServer | undefined;
  /** `host:port` of that server. */
  readonly host: string | undefined;
  /** Its role; undefined unless the engine has replicas. */
  readonly role: ServerRole | undefined;
  /** The session that it runs on, by the id of its process; known from `beforeCursorExecute` on. */
  readonly processId: number | undefined;
  /** The transaction that it runs in; known from `beforeCursorExecute` on. */
  readonly transactionEvent: TransactionEvent<Connection> | undefined;
  /** The label of that transaction, or where it was started. */
  readonly transaction: string | undefined;
  /** The label of the scope that it was called in, or where that was opened. */
  readonly scope: string | undefined;
}

/** A statement as it was handed to the library, before it is compiled. */
export interface BeforeExecuteEvent<Connection> extends StatementFacts<Connection> {
  readonly statement: Executable<unknown>;
  /** A list for an executemany. */
  readonly parameters: Parameters | readonly Parameters[] | undefined;
  readonly options: StatementOptions;
}

/** What a listener of `beforeExecute` wants to be run instead; what is not given stays. */
export interface StatementReplacement {
  readonly statement?: Executable<unknown> | undefined;
  readonly parameters?: Parameters | readonly Parameters[] | undefined;
}

/** A statement that has succeeded, with how many rows and in what time. */
export interface AfterExecuteEvent<Connection> extends BeforeExecuteEvent<Connection> {
  /** Rows affected or returned; -1 where the server gives no number. */
  readonly rowCount: number;
  /** Milliseconds, the wait for a connection included. */
  readonly duration: number;
}

/** What is about to be handed to the driver. */
export interface BeforeCursorExecuteEvent<Connection> extends StatementFacts<Connection> {
  /** The SQL as it leaves, with `$1` placeholders. */
  readonly sql: string;
  /** Values by position; with `isMany` a list of them. */
  readonly parameters: readonly unknown[];
  readonly isMany: boolean;
  readonly options: StatementOptions;
}

/** What a listener of `beforeCursorExecute` wants to be sent instead; what is not given stays. */
export interface CommandReplacement {
  readonly sql?: string | undefined;
  readonly parameters?: readonly unknown[] | undefined;
}

/** What the driver has answered. */
export interface AfterCursorExecuteEvent<Connection> extends BeforeCursorExecuteEvent<Connection> {
  readonly rowCount: number;
  /** The command tag, such as `SELECT`; undefined for a stream and for an executemany of several tags. */
  readonly command: string | undefined;
  /** Milliseconds between the call of the driver and its answer. */
  readonly duration: number;
}

/**
 * A failure, before it is thrown: a listener may name another error by returning it. Of a statement, the same
 * object as before.
 */
export interface HandleErrorEvent<Connection>
  extends
    ConnectionEvent<Connection>,
    Partial<Omit<StatementFacts<Connection>, keyof ConnectionEvent<Connection>>> {
  /** Milliseconds from the call of the statement to its failure; undefined where no statement has failed. */
  readonly duration: number | undefined;
  /** The error that will be thrown unless a listener replaces it. */
  readonly error: unknown;
  /** What the driver has thrown, where `error` wraps it; else `error` itself. */
  readonly originalError: unknown;
  /** What the listeners before this one want to be thrown instead. */
  readonly chainedError: unknown;
  readonly statement: string | undefined;
  readonly parameters: unknown;
  /** True: no session could be opened; `connection` is set where it is a session for an AsyncConnection. */
  readonly isConnecting: boolean;
  /**
   * True: a ping before a checkout (`poolPrePing`) has failed. The session is replaced in silence unless a
   * listener says that it is not a disconnect.
   */
  readonly isPrePing: boolean;
  /** True: the physical connection is lost. May be set by a listener. */
  isDisconnect: boolean;
  /**
   * What a lost connection means for the others of the pool: true replaces them all. May be set by a
   * listener.
   */
  invalidatesPool: boolean;
}

/** A COMMIT whose connection was lost, and how it ended. */
export interface CommitResolvedEvent<Connection> extends ConnectionEvent<Connection> {
  /** The server's id of the transaction; undefined where it had none. */
  readonly transactionId: string | undefined;
  /** `unknown`: nothing could be found out within `commitTimeout`. */
  readonly outcome: CommitOutcome;
  /** Milliseconds that it took to find out. */
  readonly duration: number;
  /** `host:port` of the server that COMMIT was sent to; undefined where it is not known. */
  readonly host: string | undefined;
  /** Of that server; undefined unless the engine has replicas. */
  readonly role: ServerRole | undefined;
}

/** A savepoint that begins or ends. */
export interface SavepointEvent<Connection> extends ConnectionEvent<Connection> {
  /**
   * Undefined for `savepoint`: it gets its name with its first statement; and for one in which nothing ran.
   */
  readonly name: string | undefined;
}

/** How far a COPY has come, and where it runs. */
export interface CopyProgressEvent<Connection> extends ConnectionEvent<Connection>, CopyProgress {}

/** How many sets of an executemany have run. */
export interface ExecutemanyProgressEvent<Connection> extends ConnectionEvent<Connection> {
  /** The event of the statement. */
  readonly statement: StatementEvent<Connection>;
  readonly done: number;
  readonly total: number;
}

/** Options that are added to a connection. */
export interface OptionsEvent<Connection> extends ConnectionEvent<Connection> {
  /** Those that are added; a listener may change them. */
  readonly options: { -readonly [Name in keyof ExecutionOptions]: ExecutionOptions[Name] };
}

/**
 * What a connection tells, and an engine of all its connections. All are synchronous. What a listener throws
 * fails what it listens to: nothing is sent after a `before…`, `begin` does not begin, `commit` rolls back; a
 * rollback goes on.
 */
export interface ConnectionEvents<Connection> {
  /** Before a statement is compiled, and before the transaction that it begins. */
  beforeExecute: (event: BeforeExecuteEvent<Connection>) => StatementReplacement | undefined | void;
  /** After a statement has succeeded. */
  afterExecute: (event: AfterExecuteEvent<Connection>) => void;
  /** Before a statement leaves. */
  beforeCursorExecute: (event: BeforeCursorExecuteEvent<Connection>) => CommandReplacement | undefined | void;
  /** When the driver has answered; for an executemany once, for a stream at its first fetch. */
  afterCursorExecute: (event: AfterCursorExecuteEvent<Connection>) => void;
  /** A statement, or the opening of a session, has failed. Of an engine only. */
  handleError: (event: HandleErrorEvent<Connection>) => unknown;
  /** A root transaction was begun; BEGIN itself travels with its first statement. */
  begin: (event: TransactionEvent<Connection>) => void;
  /** Before COMMIT. */
  commit: (event: TransactionEvent<Connection>) => void;
  /** Behind a COMMIT whose connection was lost, with `commitOutcome: 'resolve'`: how it ended. */
  commitResolved: (event: CommitResolvedEvent<Connection>) => void;
  /** Before ROLLBACK, and where there is nothing to roll back any more. */
  rollback: (event: TransactionEvent<Connection>) => void;
  /** A nested transaction was begun; SAVEPOINT travels with its first statement. */
  savepoint: (event: TransactionEvent<Connection>) => void;
  /** Before ROLLBACK TO SAVEPOINT, and where there is nothing to undo. */
  rollbackSavepoint: (event: TransactionEvent<Connection>) => void;
  /** A nested transaction is kept; RELEASE travels with whatever comes next. */
  releaseSavepoint: (event: TransactionEvent<Connection>) => void;
  /** Options are added to a connection; a listener may change them. */
  setConnectionExecutionOptions: (event: OptionsEvent<Connection>) => void;
  /** A COPY has passed another MiB, or has succeeded. A listener that throws fails it. */
  copyProgress: (event: CopyProgressEvent<Connection>) => void;
  /** A page of an executemany has run; `done` is `total` at its end. What a listener throws is logged. */
  executemanyProgress: (event: ExecutemanyProgressEvent<Connection>) => void;
  /** An AsyncConnection has got its first session. */
  engineConnect: (event: ConnectionEvent<Connection>) => void;
}

type ConnectionEventName = keyof ConnectionEvents<unknown>;

/** The events of a connection alone. */
export const CONNECTION_TIMINGS: Readonly<Record<Exclude<ConnectionEventName, 'handleError'>, EventTiming>> =
  {
    beforeExecute: 'sync',
    afterExecute: 'sync',
    beforeCursorExecute: 'sync',
    afterCursorExecute: 'sync',
    begin: 'sync',
    commit: 'sync',
    commitResolved: 'sync',
    rollback: 'sync',
    savepoint: 'sync',
    rollbackSavepoint: 'sync',
    releaseSavepoint: 'sync',
    setConnectionExecutionOptions: 'sync',
    copyProgress: 'sync',
    executemanyProgress: 'sync',
    engineConnect: 'sync',
  };

/** The events of an engine that happen on its connections. */
const ENGINE_CONNECTION_TIMINGS: Readonly<Record<ConnectionEventName, EventTiming>> = {
  ...CONNECTION_TIMINGS,
  handleError: 'sync',
};

/** Their channels, and those of the operations that they are told of. */
export const CONNECTION_CHANNELS = new EventChannels<ConnectionEvents<unknown>>(
  ENGINE_CONNECTION_TIMINGS,
  EXECUTION_CHANNELS,
);
