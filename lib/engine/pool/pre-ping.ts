import type { ConnectionRecord } from './connection-record.js';

/** What is to be done about a session whose ping has failed. */
export interface PingVerdict {
  /** What the checkout fails with, where the session is not replaced. */
  readonly error: unknown;
  /** True: the session is lost, and another one takes its place without a word. */
  readonly isDisconnect: boolean;
  /** True: the others of its age are lost, too. */
  readonly invalidatesPool: boolean;
}

/** Has listeners say what the failure of a ping means; undefined: there are none. */
export type PingJudge = (error: unknown) => PingVerdict | undefined;

/** Pings before a checkout. Undefined: the session is good; otherwise it was dropped. */
export async function prePing(
  record: ConnectionRecord,
  judge: PingJudge | undefined,
): Promise<PingVerdict | undefined> {
  try {
    await record.ping();
    return undefined;
  } catch (error) {
    record.terminate();
    // Nothing but its loss keeps a session from answering an empty query.
    return judge?.(error) ?? { error, isDisconnect: true, invalidatesPool: true };
  }
}
