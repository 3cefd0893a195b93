import { setTimeout as pause } from 'node:timers/promises';
import { counting, type Amounts } from '../counting.js';
import { quantile } from '../figures.js';
import { GOALS } from '../goals.js';
import { CONNECTIONS } from '../peer-contenders.js';
import { OURS } from '../peers/index.js';
import type { Contender, Workload } from '../workload.js';

/** Milliseconds, as all times here. What a statement takes. */
const SERVICE = 20;
const TARGET = 100;
/** An answer that comes later is of no use. */
const IN_TIME = 2 * TARGET;
const PATIENCE = 2_000;
/** In capacities. */
const LOADS = [0.6, 0.9, 1.2, 2];
const STATEMENT = `SELECT pg_sleep(${SERVICE / 1_000})`;

type Ask = () => Promise<unknown>;

/** What becomes of callers at one load. Rates are a millisecond. */
interface Served {
  readonly goodput: number;
  readonly p99: number;
}

/** Answers a millisecond of callers that each wait for their answer, and are always more than the sessions. */
async function capacityOf(ask: Ask, duration: number): Promise<number> {
  const until = performance.now() + duration;
  let answers = 0;
  const call = async (): Promise<void> => {
    for (; performance.now() < until; answers += 1) await ask();
  };
  await Promise.all(Array.from({ length: 3 * CONNECTIONS }, call));
  return answers / duration;
}

/** Callers who come by chance, `rate` a millisecond, and do not wait for each other. The first 40 % are not counted. */
async function openLoop(ask: Ask, rate: number, duration: number): Promise<Served> {
  const begun = performance.now();
  const warmUp = 0.4 * duration;
  const times: number[] = [];
  const underWay = new Set<Promise<void>>();
  const call = async (due: number): Promise<void> => {
    try {
      await ask();
    } catch {
      // It was refused, which is an answer in time, too.
      return;
    }
    if (due - begun > warmUp) times.push(performance.now() - due);
  };
  for (let due = begun; due < begun + duration; await pause(1)) {
    for (; due <= performance.now(); due += -Math.log(1 - Math.random()) / rate) {
      const calling = call(due).finally(() => underWay.delete(calling));
      underWay.add(calling);
    }
  }
  await Promise.all(underWay);
  const inTime = times.filter((time) => time <= IN_TIME).length;
  return { goodput: inTime / (duration - warmUp), p99: quantile(times, 0.99) };
}

function overloading(
  name: string,
  open: (url: string) => Promise<{ ask: Ask; close: () => Promise<void> }>,
): Contender {
  return counting(name, async ({ url, size: { duration = 0 } }) => {
    const { ask, close } = await open(url);
    await ask();
    const count = async (): Promise<Amounts> => {
      const capacity = await capacityOf(ask, duration / 4);
      const amounts: Record<string, number> = {};
      for (const load of LOADS) {
        const { goodput, p99 } = await openLoop(ask, load * capacity, duration);
        amounts[`${name} at ${load}: answers in time, % of the capacity`] = (100 * goodput) / capacity;
        amounts[`${name} at ${load}: p99 of the served, in targets`] = p99 / TARGET;
      }
      return amounts;
    };
    return { count, close };
  });
}

const ours = overloading(OURS, async (url) => {
  const { createAsyncEngine } = await import('nest-async-engine/engine');
  const silent = (): void => undefined;
  const engine = createAsyncEngine(url, {
    poolSize: CONNECTIONS,
    maxOverflow: 0,
    poolTimeout: PATIENCE,
    poolQueueTarget: TARGET,
    poolQueueInterval: 1_000,
    logger: { log: silent, warn: silent, error: silent, debug: silent },
  });
  return { ask: () => engine.execDriverSql(STATEMENT).all(), close: () => engine.aclose() };
});

const pool = overloading('pg.Pool', async (url) => {
  const { default: pg } = await import('pg');
  const own = new pg.Pool({ connectionString: url, max: CONNECTIONS, connectionTimeoutMillis: PATIENCE });
  return { ask: () => own.query(STATEMENT), close: () => own.end() };
});

/** Ours with `poolQueueTarget`, and `pg.Pool` with `connectionTimeoutMillis`. */
export const overload: Workload = {
  name: 'overload',
  title: 'Overload: an open loop at several times of the capacity',
  contenders: [ours, pool],
  base: pool.name,
  goals: GOALS.overload,
  unit: '',
  full: { operations: 1, duration: 10_000, rounds: 1 },
  smoke: { operations: 1, duration: 100 },
};
