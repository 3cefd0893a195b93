import type { SessionNotice } from './driver.js';

/** For the log: the server has stored `what`, and has said more than that. */
export function storedWithWarnings(what: string, warnings: readonly SessionNotice[]): string {
  const said = warnings.map(({ message, sqlState }) => `${message} (${sqlState})`).join('; ');
  return `the COMMIT of ${what} came with a warning of the server: ${said}`;
}
