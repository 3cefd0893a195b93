/*
 * Node's own clock and timers, taken when this module is loaded. Test tools replace the global ones: what
 * must go on under fake timers uses these, what a test may want to advance uses the global ones.
 */
const clock = performance;
const { setTimeout: startTimer, clearTimeout: stopTimer, setImmediate: runNextTurn } = globalThis;

/** Milliseconds of a clock that never goes back. */
export const now: () => number = clock.now.bind(clock);

/**
 * Milliseconds that this process has spent waiting for something to happen. It stands still while the process
 * is busy, so that an answer that lies unread does not count as a slow one. Falls back to {@link now}.
 */
export function timeWaited(): number {
  const idle: unknown = (clock.nodeTiming as Partial<typeof clock.nodeTiming> | undefined)?.idleTime;
  return typeof idle === 'number' ? idle : now();
}

export { runNextTurn, startTimer, stopTimer };
