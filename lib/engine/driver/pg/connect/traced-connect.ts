import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Client } from 'pg';
import { ChannelGroup, type TracedEvent } from '../../../util/channels.js';

/** What `pg` says of a connection on its own channel (node-postgres#3650). */
interface PgConnect extends TracedEvent {
  readonly connection: {
    readonly database: string | undefined;
    readonly host: string | undefined;
    readonly port: number | undefined;
    readonly user: string | undefined;
    readonly ssl: boolean;
  };
}

const TRACE = new ChannelGroup().trace<PgConnect>('pg:connection');

/** Connects a client, and tells of it as `pg` does, unless this `pg` tells of it by itself. */
export function connectClient(client: Client): Promise<unknown> {
  if (!TRACE.isObserved) return client.connect();
  let isTold = false;
  const hear = (): void => {
    isTold = true;
  };
  subscribe('tracing:pg:connection:start', hear);
  const connecting = client.connect();
  unsubscribe('tracing:pg:connection:start', hear);
  if (isTold) return connecting;
  const { database, host, port, user, ssl } = client;
  return TRACE.run({ connection: { database, host, port, user, ssl: Boolean(ssl) } }, () => connecting);
}
