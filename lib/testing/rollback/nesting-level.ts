import type { DriverConnection } from '../../engine/index.js';
import type { TurnQueue } from './turn-queue.js';

/** The transaction around a test, as the work in it sees it. */
export interface TestTransactionContext {
  readonly session: DriverConnection;
  /** How long work waits for other work that shares the connection, in ms. */
  readonly turnTimeout: number;
  /** Temporary tables that each COMMIT of the application empties. */
  readonly emptiedTables: Set<string>;
  /** Fails the test when it ends. */
  complain(what: string): void;
}

/**
 * Where work takes place: in the outer transaction of the test, or inside a transaction of the application.
 */
export interface NestingLevel {
  /** One piece of work after the other. */
  readonly turns: TurnQueue;
  /** True: what ends here is what the application committed, so that deferred constraints are due. */
  readonly isOutermost: boolean;
  /**
   * Makes the session take statements again where a transaction of the application has failed around them.
   */
  prepare(): Promise<void>;
  /** Something was committed here that should outlive the transaction around it. */
  noteIndependent(): void;
}
