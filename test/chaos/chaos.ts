import { setTimeout as wait } from 'node:timers/promises';
import {
  CommitOutcomeUnknownError,
  DBAPIError,
  EngineError,
  type EngineLogger,
} from 'nest-async-engine/engine';
import { collectGarbage } from '../support/process/garbage.js';
import { randomOf, type Random } from '../support/random.js';

/** The size of a run: short in the usual tests, long by `npm run test:chaos`. */
export const OPERATIONS = Number(process.env['CHAOS_OPERATIONS'] ?? 240);
/** Printed in the names of the tests, so that a run can be repeated. */
export const SEED = Number(process.env['CHAOS_SEED'] ?? Date.now() % 1_000_000);

/** Longer than every limit that the engines of these tests have. */
const HUNG = 60_000;
const MEGABYTE = 2 ** 20;

/** Faults are what these tests make; their lines would hide what fails. */
export const silent: EngineLogger = { log() {}, warn() {}, error() {}, debug() {} };

/** What a caller knows of its operation. */
export type Outcome = 'stored' | 'undone' | 'unknown';

/** Fails where `work` neither resolves nor rejects. */
export async function notHung<T>(what: string, work: Promise<T>): Promise<T> {
  const stop = new AbortController();
  const hung = wait(HUNG, undefined, { signal: stop.signal }).then(() => {
    throw new Error(`${what} has not ended within ${HUNG} ms`);
  });
  try {
    return await Promise.race([work, hung]);
  } finally {
    stop.abort();
    hung.catch(() => undefined);
  }
}

/** What the failure of a transaction says of its work. A raw error is a defect, whatever was broken. */
export function transactionOutcome(error: unknown): Outcome {
  if (!(error instanceof EngineError)) throw error;
  return error instanceof CommitOutcomeUnknownError ? 'unknown' : 'undone';
}

/** The same for a statement outside of one: an answer that never came may have been a success. */
export function statementOutcome(error: unknown): Outcome {
  const isLost = error instanceof DBAPIError && error.connectionInvalidated;
  return isLost ? 'unknown' : transactionOutcome(error);
}

/** Runs `operation` by several workers, each with random numbers of its own, until all of `count` are done. */
export async function runWorkers(
  workers: number,
  count: number,
  operation: (id: string, random: Random) => Promise<Outcome>,
): Promise<Map<string, Outcome>> {
  const outcomes = new Map<string, Outcome>();
  const each = Math.ceil(count / workers);
  await Promise.all(
    Array.from({ length: workers }, async (_, worker) => {
      const random = randomOf(SEED * 1_000 + worker);
      for (let number = 0; number < each; number += 1) {
        const id = `${worker}-${number}`;
        const outcome = await notHung(`operation ${id}`, operation(id, random));
        outcomes.set(id, outcome);
        // While the server is down operations fail at once: let some meet one that is up.
        if (outcome !== 'stored') await wait(20 + random(150));
      }
    }),
  );
  return outcomes;
}

/** Repeats one of `faults`, drawn by chance, until `work` has ended. */
export async function amidst<T>(faults: readonly (() => unknown)[], work: Promise<T>): Promise<T> {
  const random = randomOf(SEED);
  const ended = new AbortController();
  const done = work.finally(() => ended.abort());
  while (!ended.signal.aborted) {
    await wait(20 + random(160), undefined, { signal: ended.signal }).catch(() => undefined);
    if (ended.signal.aborted) break;
    await faults[random(faults.length)]?.();
  }
  return await done;
}

/** MiB by which the heap has grown since the call of `heapGrowth()`. */
export async function heapGrowth(): Promise<() => Promise<number>> {
  await collectGarbage();
  const before = process.memoryUsage().heapUsed;
  return async () => {
    await collectGarbage();
    return (process.memoryUsage().heapUsed - before) / MEGABYTE;
  };
}
