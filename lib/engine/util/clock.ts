/*
 * Node's own clock and timers, taken when this module is loaded. Test tools replace the global ones: what
 * must go on under fake timers uses these, what a test may want to advance uses the global ones.
 */
const clock = performance;
const { setTimeout: startTimer, clearTimeout: stopTimer, setImmediate: runNextTurn } = globalThis;

/** Milliseconds of a clock that never goes back. */
export const now: () => number = clock.now.bind(clock);

export { clock, runNextTurn, startTimer, stopTimer };
