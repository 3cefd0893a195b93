import type { Client, Submittable } from 'pg';

/** What the types of pg leave out. */
interface QueueingClient {
  readonly _queryQueue?: Submittable[];
  readonly _queryable?: boolean;
  readonly _ending?: boolean;
  readonly pipeline?: boolean;
  readonly connectionParameters?: { readonly query_timeout?: unknown };
  _pulseQueryQueue?(): void;
}

/**
 * Gives a batch to its client, around `client.query()`: tools patch that, and a coming pg tells of queries
 * there. A batch is not a query of the application, and has neither a text nor an end for them.
 */
export function submit(client: Client, batch: Submittable): void {
  const { _queryQueue: queue } = client as QueueingClient;
  if (queue === undefined || !isPlain(client as QueueingClient)) {
    client.query(batch);
    return;
  }
  queue.push(batch);
  (client as QueueingClient)._pulseQueryQueue?.();
}

/** True: `query()` would do nothing but put it in the queue. */
function isPlain(client: QueueingClient): boolean {
  const { _queryable, _ending, pipeline, connectionParameters } = client;
  const isReady = _queryable === true && _ending !== true && '_pulseQueryQueue' in client;
  return isReady && pipeline !== true && !connectionParameters?.query_timeout;
}
