import type { DriverRow, Portal } from '../driver/driver.js';

/** Where a stream gets its cursor from: what an `AsyncResult` needs of a connection. */
export interface StreamSource {
  /**
   * Called once, at the first pull. When it rejects, it has given back whatever it took: `release` is not
   * called.
   */
  open(): Promise<Portal>;
  /**
   * Called once after a successful `open`, when the portal was closed: at the end of the rows as soon as the
   * server reported it, at an early close, and after a failure, which is then given. A rejection is shown to
   * the user only where nothing failed before.
   */
  release(failure?: unknown): Promise<void>;
}

/**
 * Rows per fetch when neither `yieldPer` nor `maxRowBuffer` says otherwise: beyond it throughput no longer
 * grows, only memory.
 */
export const ROWS_PER_FETCH = 1_000;

/**
 * How long a further batch is on the wire at most, about, where neither says a number: decoded, it takes up
 * to ten times as much, and two are in memory.
 */
export const BYTES_PER_FETCH = 40_960;

/** A row as a line of text takes so much less memory than its values. */
export const LINES_FOR_A_ROW = 4;

/** How many rows a stream fetches at a time. */
export interface StreamOptions {
  /** Rows per fetch, exactly; also the size of `partitions()` and `fetchMany()` without a number. */
  readonly yieldPer?: number | undefined;
  /**
   * Rows per fetch at most. One further batch is fetched ahead, so twice as many rows may be in memory.
   * Default 1000, and behind the first fetch as many as are about 40 KB on the wire.
   */
  readonly maxRowBuffer?: number | undefined;
  /** Closes the stream, also while nothing is fetched. */
  readonly signal?: AbortSignal | undefined;
}

/** What is done with the failures and the rows of a stream. */
export interface StreamHooks {
  /** What the user gets for a failure of the source or of a fetch. */
  readonly mapError?: (error: unknown) => unknown;
  /** Told of each row that is handed out. */
  readonly onFetch?: ((row: DriverRow) => void) | undefined;
}
