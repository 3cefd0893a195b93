// Callers that do not wait for each other, at several times of what a pool can serve: npm run bench:overload [-- --write].
// Ours with poolQueueTarget, and pg.Pool with connectionTimeoutMillis. Prints ratios; --write draws docs/guide/overload.svg.
import { writeFile } from 'node:fs/promises';
import pg from 'pg';
import { createAsyncEngine } from '../../../dist/engine/index.js';
import { startEmbeddedPostgres } from '../../../dist/testing/index.js';
import { chart } from './chart.mjs';

const SESSIONS = 10;
/** Milliseconds, as all times here. */
const SERVICE = 20;
const TARGET = 100;
/** An answer that comes later is of no use. */
const IN_TIME = 2 * TARGET;
const PATIENCE = 2_000;
const WARM_UP = 4_000;
const MEASURED = 8_000;
const LOADS = [0.6, 0.9, 1.2, 1.6, 2];
const STATEMENT = `SELECT pg_sleep(${SERVICE / 1_000})`;

const contenders = {
  'nest-async-engine': (url) => {
    const engine = createAsyncEngine(url, {
      poolSize: SESSIONS,
      maxOverflow: 0,
      poolTimeout: PATIENCE,
      poolQueueTarget: TARGET,
      poolQueueInterval: 1_000,
      logger: { log() {}, warn() {}, error() {}, debug() {} },
    });
    return { ask: () => engine.execDriverSql(STATEMENT).all(), end: () => engine.aclose() };
  },
  'pg.Pool': (url) => {
    const pool = new pg.Pool({ connectionString: url, max: SESSIONS, connectionTimeoutMillis: PATIENCE });
    return { ask: () => pool.query(STATEMENT), end: () => pool.end() };
  },
};

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Answers a millisecond of callers that each wait for their answer, and are always more than the sessions. */
async function capacityOf({ ask }) {
  const until = performance.now() + MEASURED / 2;
  let answers = 0;
  const call = async () => {
    while (performance.now() < until) {
      await ask();
      answers += 1;
    }
  };
  await Promise.all(Array.from({ length: 3 * SESSIONS }, call));
  return answers / (MEASURED / 2);
}

/** Callers who come by chance, `rate` a millisecond; what became of those behind the warm-up. */
async function openLoop({ ask }, rate) {
  const begun = performance.now();
  const times = [];
  const under = new Set();
  let asked = 0;
  const call = async (due) => {
    const isCounted = due - begun > WARM_UP;
    asked += isCounted ? 1 : 0;
    try {
      await ask();
      if (isCounted) times.push(performance.now() - due);
    } catch {
      // It was refused, which is an answer in time, too.
    }
  };
  for (let due = begun; due < begun + WARM_UP + MEASURED;) {
    for (; due <= performance.now(); due += -Math.log(1 - Math.random()) / rate) {
      const calling = call(due).finally(() => under.delete(calling));
      under.add(calling);
    }
    await pause(1);
  }
  await Promise.all(under);
  times.sort((one, other) => one - other);
  return {
    goodput: times.filter((time) => time <= IN_TIME).length / MEASURED,
    p99: times[Math.floor(times.length * 0.99)] ?? Infinity,
    served: times.length / asked,
  };
}

const server = await startEmbeddedPostgres();
const lines = [];
for (const [name, open] of Object.entries(contenders)) {
  const contender = open(server.url);
  await contender.ask();
  const capacity = await capacityOf(contender);
  for (const load of LOADS) {
    const { goodput, p99, served } = await openLoop(contender, load * capacity);
    const line = { name, load, goodput: goodput / capacity, p99: p99 / TARGET, served };
    lines.push(line);
    console.log(
      `${name} at ${load} × capacity: in time ${Math.round(line.goodput * 100)} % of the capacity, ` +
        `p99 of what was served ${line.p99.toFixed(2)} × target, served ${Math.round(served * 100)} %`,
    );
  }
  await contender.end();
}
await server.stop();
if (process.argv.includes('--write')) {
  await writeFile(new URL('../../../docs/guide/overload.svg', import.meta.url), chart(lines));
}
