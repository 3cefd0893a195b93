import type { CommandResult, Control, DriverConnection, ServerRole } from '../driver/driver.js';
import type { TransactionOptions } from './isolation.js';
import type { CommitOutcome } from './outcome.js';
import type { OutcomeInquiry } from './outcome-inquiry.js';
import type { ObservedTransaction, TransactionObservation } from './transaction-observation.js';

/** Is told what happens in transactions. What it throws fails what it was told of. */
export interface TransactionObserver {
  begin(transaction: ObservedTransaction): void;
  commit(transaction: ObservedTransaction): void;
  rollback(transaction: ObservedTransaction): void;
  savepoint(transaction: ObservedTransaction): void;
  rollbackSavepoint(transaction: ObservedTransaction, name: string | undefined): void;
  releaseSavepoint(transaction: ObservedTransaction, name: string | undefined): void;
  /** Another session was asked how a COMMIT ended; `duration` in ms. */
  commitResolved(resolved: {
    readonly transactionId: string | undefined;
    readonly outcome: CommitOutcome;
    readonly duration: number;
    readonly host: string | undefined;
    readonly role: ServerRole | undefined;
  }): void;
  /** A control statement is on its way. */
  sent(text: string): void;
  /** What is thrown to the user for `error`. */
  replacementOf(error: unknown): unknown;
}

/** What the server says of a session; see {@link DriverConnection}. */
export type ServerWord = Pick<DriverConnection, 'status' | 'transactionEnds' | 'transactionMark'>;

/** What a statement that ends a transaction, or a savepoint, is told to. */
export interface ControlEnds {
  readonly observation: TransactionObservation | undefined;
  /** `tag`: the word of the server, of COMMIT and ROLLBACK; `answer`: all that it said. */
  readonly answered: (tag: string, answer?: CommandResult) => Promise<void> | undefined;
  readonly failed: (error: unknown) => Promise<void>;
}

/** A command that waits for its application now and then. */
export interface PacedCommand {
  /** Changes with each step of the application; undefined while the command does not wait for that. */
  readonly progress: number | undefined;
}

/** What a transaction needs of its engine. */
export interface TransactionEngine {
  /**
   * Milliseconds that a statement waits for a nested transaction beside it while nothing runs on the
   * connection.
   */
  readonly nestedWaitTimeout: number;
  /** Runs `work` with no active transaction. */
  runWithoutTransaction<T>(work: () => T): T;
  /** Runs `work` with `transaction`, of a connection of this engine, as the active one. */
  inside<T>(transaction: object, work: () => Promise<T>): Promise<T>;
  /** An error that cannot be thrown without hiding another one. */
  report(error: unknown): void;
  /** What worked and should be looked at. */
  warn(message: string): void;
}

/** What a transaction needs of its connection. */
export interface TransactionHost {
  /** What the server says of the session; undefined before the first statement, and once it is lost. */
  readonly server: ServerWord | undefined;
  /** For a COMMIT to a server that is lost. Undefined where nothing can be asked. */
  inquiry(lost: ServerWord): OutcomeInquiry | undefined;
  readonly engine: TransactionEngine;
  /** Undefined while nothing observes the connection. */
  readonly observer: TransactionObserver | undefined;
  /** Changes with every command; undefined while one runs, or a connection is waited for. */
  readonly commandMark: number | undefined;
  /**
   * Opens the connection when this is its first statement; undefined where it is open. `signal` ends the wait
   * for one, and it rejects with its reason. `options`, those of the root that begins, say to which server.
   */
  ready(signal?: AbortSignal, options?: TransactionOptions): Promise<void> | undefined;
  /** Hands the driver's own client to `use`, behind `control`; `paced`: what it does with that. */
  lend(
    ...args: [...Parameters<DriverConnection['lend']>, paced?: PacedCommand]
  ): ReturnType<DriverConnection['lend']>;
  /**
   * Sends COMMIT or ROLLBACK alone, or a question behind them. Drops what was deferred. Never throws at once.
   */
  command(text: string, ends: ControlEnds): Promise<void>;
  /** Undoes all since `savepoint` and forgets that one, in one flight. Drops what was deferred. */
  rollbackTo(savepoint: string, ends: ControlEnds): Promise<void>;
  /** A statement has failed: the session is ended where it is lost. Once for each error. */
  noteFailure(error: unknown): void;
  /** Queues a control statement that travels in front of whatever is sent next. */
  defer(control: Control): void;
  nextSavepoint(): string;
  invalidate(cause: unknown): void;
  /** The root has ended and is no longer the connection's. */
  detach(root: object): Promise<void> | undefined;
}

/** The connection that a transaction lives on. */
export interface TransactionOwner<Connection> {
  /** What its user holds. */
  readonly connection: Connection;
  /** The side of it that transactions talk to. */
  readonly session: TransactionHost;
}
