import pg from 'pg';
import type { Client } from 'pg';

/** Where `@nestjs/observe` keeps the method that it has replaced. */
const REPLACED = Symbol.for('nestjs.observe.original.query');

type Query = (config: object, callback: (error?: unknown) => void) => unknown;
interface Queryable {
  readonly query: Query;
  readonly [REPLACED]?: Query;
}

const PROTOTYPE = pg.Client.prototype as unknown as Queryable;
/** Of pg itself, whenever this file is loaded; a client has another one where a tool has replaced it. */
export const OWN_QUERY: unknown = PROTOTYPE[REPLACED] ?? PROTOTYPE.query;

/**
 * Tells `@nestjs/observe` of a statement on its way. It sees what is given to `query()` of a client, and no
 * batches: a stand-in for the client takes the statement there, and nothing is sent.
 */
export function tellPatch(client: Client, text: string | undefined, answered: Promise<unknown>): void {
  if (text === undefined || PROTOTYPE[REPLACED] === undefined) return;
  let told: { callback?(error: unknown, result: object): void } | undefined;
  const push = (one: typeof told): void => {
    told = one;
  };
  const standIn = {
    connectionParameters: {},
    _queryable: true,
    _queryQueue: { length: 0, push },
    _pulseQueryQueue: (): void => undefined,
  };
  (client as unknown as Queryable).query.call(standIn, { text }, () => undefined);
  const end = (error: unknown): void => told?.callback?.(error, {});
  answered.then(() => end(null), end);
}
