import { Observable, type ObservableInput } from 'rxjs';
import { AsyncConnection, AsyncEngine, type Executable, type Parameters, type Row } from '../engine/index.js';
import { expectArgument } from '../engine/util/argument.js';
import {
  asItIs,
  countRule,
  deadlineRule,
  functionRule,
  integerRule,
  signalRule,
  type OptionRule,
} from '../engine/util/option-rule.js';
import { OptionTable } from '../engine/util/option-table.js';
import type { DrainTarget } from './drain-target.js';
import { sourceRule } from './source-rules.js';
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
  readonly pace?: DrainTarget | undefined;
  /** How long the server may take for a batch. */
  readonly timeout?: number | undefined;
  /** Ends the query with a `QueryCanceledError` when it is aborted. */
  readonly signal?: AbortSignal | undefined;
}

const paceRule: OptionRule = {
  expected: 'a response or another Writable',
  accepts: (value) => typeof ((value ?? {}) as Partial<DrainTarget>).once === 'function',
  coerce: asItIs,
};

const QUERY_OPTIONS = new OptionTable<QueryOptions<never, unknown>>(
  'fromQuery',
  {
    batchSize: integerRule(1, 'an integer from 1 to 2147483647', 2_147_483_647),
    project: functionRule,
    concurrency: countRule(1),
    pace: paceRule,
    timeout: deadlineRule,
    signal: signalRule,
  },
  'refused',
);

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
 * @throws ArgumentError for a source that is not an engine or a connection, and for a wrong option.
 *
 * @example
 * ```ts
 * fromQuery(engine, sql<{ id: number }>`SELECT id FROM events`, undefined, {
 *   project: ({ id }) => publish(id),
 * }).subscribe();
 * ```
 */
export function fromQuery<R = Row, T = R>(
  source: AsyncEngine | AsyncConnection,
  statement: Executable<R>,
  parameters?: Parameters,
  options: QueryOptions<R, T> = {},
): Observable<T> {
  expectArgument('fromQuery()', sourceRule, source);
  const { batchSize, timeout, signal, concurrency = 1 } = QUERY_OPTIONS.parse(options);
  return new Observable<T>((subscriber) => {
    const result = source.stream(statement, parameters, { yieldPer: batchSize, timeout, signal });
    const pump = new QueryPump(result, { ...options, concurrency }, subscriber);
    subscriber.add(() => pump.stop());
    void pump.run();
  });
}
