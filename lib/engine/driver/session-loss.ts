import { EventEmitter } from 'node:events';

/**
 * Calls `listener` when the session of a driver's client ends by itself, until the function that you get is
 * called.
 */
export function onSessionLost(client: unknown, listener: (cause?: unknown) => void): () => void {
  // A PGlite instance is in this process.
  if (!(client instanceof EventEmitter)) return () => undefined;
  client.on('error', listener).on('end', listener);
  return () => void client.off('error', listener).off('end', listener);
}
