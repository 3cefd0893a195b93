import type { SessionServer } from './driver.js';

/** `host:port`; undefined where the database is in this process. */
export function hostOf({ host, port }: Partial<SessionServer> = {}): string | undefined {
  return host === undefined ? undefined : `${host}:${port}`;
}
