import type { DriverConnection } from '../../engine/index.js';
import type { Turns } from './turn-queue.js';

/** The transaction around a test, as the work in it sees it. */
export interface Outer {
  readonly session: DriverConnection;
  /** How long work waits for other work that shares the connection, in ms. */
  readonly turnTimeout: number;
  /** Fails the test when it ends. */
  complain(what: string): void;
}

/**
 * Where work takes place: in the outer transaction of the test, or inside a transaction of the application.
 */
export interface Level {
  /** One piece of work after the other. */
  readonly turns: Turns;
  /** True: what ends here is what the application committed, so that deferred constraints are due. */
  readonly isOutermost: boolean;
  /**
   * Makes the session take statements again where a transaction of the application has failed around them.
   */
  prepare(): Promise<void>;
  /** Something was committed here that should outlive the transaction around it. */
  noteIndependent(): void;
}
