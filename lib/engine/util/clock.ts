import { lazy } from './lazy.js';

/*
 * Node's own clock and timers, taken when this module is loaded. Test tools replace the global ones: what
 * must go on under fake timers uses these, what a test may want to advance uses the global ones.
 */
const { hrtime } = process;
const { setTimeout: startTimer, clearTimeout: stopTimer, setImmediate: runNextTurn } = globalThis;

/** Milliseconds of a clock that never goes back. */
export function now(): number {
  const [seconds, nanoseconds] = hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000;
}

/** What Node measures of itself. Node 24 loads it when it is first asked for: 0.7 ms. */
export const clock = lazy(() => process.getBuiltinModule('node:perf_hooks').performance);

/** Lets the process end while the timer runs. Some test tools, such as jsdom, have numbers for timers. */
export function unref(timer: NodeJS.Timeout): NodeJS.Timeout {
  if (typeof timer === 'object') timer.unref();
  return timer;
}

export { runNextTurn, startTimer, stopTimer };

/**
 * Calls `expire` when the server has not answered for `time` ms, unless the function that you get is called
 * before. A process that stood still reads first what has come until then.
 */
export function startGrace(expire: () => void, time: number): () => void {
  let isOver = false;
  const judge = (): void => {
    if (!isOver) expire();
  };
  const timer = unref(setTimeout(() => runNextTurn(judge), time));
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

const LIMIT = Symbol('limit');

interface LimitTimer extends NodeJS.Timeout {
  [LIMIT]?: true;
}

/**
 * A timer that ends a wait when its time is over. No work goes on by it: {@link isLimit} tells it from one
 * that something waits for.
 */
export function startLimit(expire: () => void, time: number): NodeJS.Timeout {
  const timer: LimitTimer = setTimeout(expire, time);
  if (typeof timer === 'object') timer[LIMIT] = true;
  return timer;
}

/** Whether an async resource is a timer of `startLimit()`; to be asked when it has been started. */
export function isLimit(resource: object): boolean {
  return LIMIT in resource;
}
