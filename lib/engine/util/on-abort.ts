import { getMaxListeners, setMaxListeners } from 'node:events';

/**
 * Calls `listener` when `signal` is aborted, until the function that you get is called. Many statements may
 * have one signal, that of their transaction or of a request: each raises by one the number of listeners at
 * which Node warns of a leak, for as long as it listens.
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  let state: 'listening' | 'ended' = 'listening';
  raiseLimit(signal, 1);
  signal.addEventListener('abort', listener, { once: true });
  return () => {
    if (state === 'ended') return;
    state = 'ended';
    signal.removeEventListener('abort', listener);
    raiseLimit(signal, -1);
  };
}

function raiseLimit(signal: AbortSignal, by: 1 | -1): void {
  const limit = limitOf(signal);
  if (limit > 0) setMaxListeners(limit + by, signal);
}

/** 0: there is none, of which Node 20 says that the signal is no target of events. */
function limitOf(signal: AbortSignal): number {
  try {
    return getMaxListeners(signal);
  } catch {
    return 0;
  }
}
