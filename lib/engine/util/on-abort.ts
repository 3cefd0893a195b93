import { getMaxListeners, setMaxListeners } from 'node:events';

/** What waits for one signal. */
interface Waiting {
  readonly listeners: Set<() => void>;
  readonly tell: () => void;
}

const WAITING = Symbol('waiting');

/** It has one listener of ours, because it looks at all that it has to add one and to remove one. */
interface HeardSignal extends AbortSignal {
  [WAITING]?: Waiting | undefined;
}

/**
 * Calls `listener` when `signal` is aborted, until the function that you get is called. Many statements may
 * have one signal, that of their transaction or of a request. While any of them listens, the number of
 * listeners at which Node warns of a leak is one higher.
 */
export function onAbort(signal: HeardSignal, listener: () => void): () => void {
  const waiting = signal[WAITING] ?? listenTo(signal);
  waiting.listeners.add(listener);
  return () => {
    if (!waiting.listeners.delete(listener) || waiting.listeners.size > 0) return;
    signal[WAITING] = undefined;
    signal.removeEventListener('abort', waiting.tell);
    raiseLimit(signal, -1);
  };
}

function listenTo(signal: HeardSignal): Waiting {
  const listeners = new Set<() => void>();
  const tell = (): void => {
    for (const listener of listeners) listener();
  };
  const waiting = { listeners, tell };
  signal[WAITING] = waiting;
  raiseLimit(signal, 1);
  signal.addEventListener('abort', tell, { once: true });
  return waiting;
}

function raiseLimit(signal: AbortSignal, by: 1 | -1): void {
  const limit = limitOf(signal);
  if (limit > 0) setMaxListeners(limit + by, signal);
}

/** 0: there is none, of which Node 20 says that the signal is not a target of events. */
function limitOf(signal: AbortSignal): number {
  try {
    return getMaxListeners(signal);
  } catch {
    return 0;
  }
}
