import { Observable, type ObservableInput } from 'rxjs';
import {
  ArgumentError,
  type AsyncConnection,
  type AsyncEngine,
  type Executable,
  type Parameters,
  type Row,
} from '../engine/index.js';
import type { Pace } from './pace.js';
import { QueryPump } from './query-pump.js';

/** How the rows of a query become an Observable. Times in ms. */
export interface QueryOptions<R, T = R> {
  /** Rows per fetch; one batch is fetched ahead. Default 1000. */
  readonly batchSize?: number | undefined;
  /**
   * What each row becomes, as in `mergeMap`. The next row waits until one of these is free. Default: the row
   * itself.
   */
  readonly project?: ((row: R) => ObservableInput<T>) | undefined;
  /** How many projections run at once. Default 1, which keeps their results in the order of the rows. */
  readonly concurrency?: number | undefined;
  /**
   * The next row waits until this response has drained: for server-sent events, whose writer cannot hold back
   * its source.
   */
  readonly pace?: Pace | undefined;
  /** How long the server may take for a batch. */
  readonly timeout?: number | undefined;
  /** Ends the query with a `QueryCanceledError` when it is aborted. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The rows of a query as a cold Observable: every subscription is a cursor of its own.
 *
 * The statement is sent on subscribing, in the transaction or scope that is active there. Rows are pulled
 * batch by batch, the next batch while one is consumed, so that memory stays flat as long as `project` or
 * `pace` holds the rows back; without them an Observable cannot, and rows are pushed as fast as they come.
 * Unsubscribing closes the cursor at once. When a projection fails, the cursor is closed and then the
 * Observable fails with that error. It completes when the cursor is closed and all projections have
 * completed.
 *
 * @throws ArgumentError when `concurrency` is no positive whole number.
 */
export function fromQuery<R = Row, T = R>(
  source: AsyncEngine | AsyncConnection,
  statement: Executable<R>,
  parameters?: Parameters,
  options: QueryOptions<R, T> = {},
): Observable<T> {
  const { batchSize, timeout, signal, concurrency = 1 } = options;
  if (concurrency !== Infinity && (!Number.isInteger(concurrency) || concurrency < 1)) {
    throw new ArgumentError(
      `concurrency is ${String(concurrency)}: it takes a whole number from 1, or Infinity.`,
    );
  }
  return new Observable<T>((subscriber) => {
    const result = source.stream(statement, parameters, { yieldPer: batchSize, timeout, signal });
    const pump = new QueryPump(result, { ...options, concurrency }, subscriber);
    subscriber.add(() => pump.stop());
    void pump.run();
  });
}
