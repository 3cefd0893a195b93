import type { ServerStatus } from '../driver/driver.js';

/** What a transaction needs of its connection. */
export interface TransactionHost {
  readonly serverStatus: ServerStatus;
  /** Milliseconds that a statement waits for a nested transaction beside it. */
  readonly nestedWaitTimeout: number;
  /** Opens the connection when this is its first statement. */
  ready(): Promise<void>;
  /** Sends control statements alone, in one flight, and answers with the tag of the last. Drops what was deferred. */
  command(texts: readonly string[]): Promise<string>;
  /** Lets a control statement ride in front of whatever comes next. */
  defer(text: string): void;
  nextSavepoint(): string;
  invalidate(cause: unknown): void;
  /** The transaction has ended and is no longer the connection's. */
  detach(transaction: object): Promise<void>;
  /** Runs a hook with no active transaction. */
  outside<T>(work: () => T): T;
  /** An error that cannot be thrown without hiding another one. */
  report(error: unknown): void;
}

/** A connection, and the side of it that transactions talk to. */
export interface TransactionOwner<Connection> {
  readonly connection: Connection;
  readonly host: TransactionHost;
}
