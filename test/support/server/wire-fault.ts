import type { FaultyProxy, WireMessage } from './faulty-proxy.js';
import type { ItemDatabase } from '../items.js';

export type Fault = 'the wire is cut' | 'the session is killed';

export const FAULTS: readonly Fault[] = ['the wire is cut', 'the session is killed'];

/** COMMIT on its way to the server, or its answer. */
export const isCommit =
  (speaker: WireMessage['from']) =>
  ({ from, type, text }: WireMessage): boolean =>
    from === speaker && text === 'COMMIT' && /Query|Execute|CommandComplete/.test(type);

/** Makes the first message that carries `sql` fail; resolves when it has. */
export async function failOnTheWire(
  { database }: ItemDatabase,
  proxy: FaultyProxy,
  sql: string,
  fault: Fault,
): Promise<void> {
  await proxy.holdWhen(
    ({ from, type, text = '' }) =>
      from === 'client' && (type === 'Parse' || type === 'Query') && text.startsWith(sql),
  );
  if (fault === 'the wire is cut') return proxy.cut();
  const [session] = await database.sessions();
  await database.query('SELECT pg_terminate_backend($1)', [session?.pid]);
  proxy.resume();
}
