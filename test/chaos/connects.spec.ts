import { createAsyncEngine, text, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/process/barrier.js';
import { randomOf } from '../support/random.js';
import { amidst, OPERATIONS, runWorkers, SEED, silent, statementOutcome, type Outcome } from './chaos.js';
import { MortalServer } from './mortal-server.js';

const CALLERS = 120;
/** Fewer than the pool may open: some attempts are refused by a server that is full. */
const MAX_CONNECTIONS = 14;

let server: MortalServer;
let engine: AsyncEngine;

beforeAll(async () => {
  server = await MortalServer.start({ max_connections: String(MAX_CONNECTIONS) });
  engine = createAsyncEngine(server.url, {
    poolSize: 6,
    maxOverflow: 20,
    poolTimeout: 10_000,
    connectTimeout: 5_000,
    multiplex: false,
    logger: silent,
  });
}, 60_000);
afterAll(async () => {
  await engine.aclose();
  await server[Symbol.asyncDispose]();
});

describe(`a storm of connects to a server that is full and dies (seed ${SEED})`, () => {
  it(
    'ends for each caller, keeps nothing, and the engine works afterwards',
    async () => {
      const work = runWorkers(CALLERS, OPERATIONS * 4, async (_, random) => {
        if (random(40) === 0) await engine.dispose().catch(statementOutcome);
        return await engine
          .connect((connection) => connection.execute(text('SELECT pg_sleep(0.002)')))
          .then((): Outcome => 'stored', statementOutcome);
      });
      const deaths = server.deaths(2, randomOf(SEED));
      const outcomes = await amidst([...server.faults(), deaths], work);
      expect(outcomes.size).toBeGreaterThanOrEqual(OPERATIONS * 4);
      await eventually(() => expect(engine.pool.checkedOut()).toBe(0));
      server.proxy.delay(0);
      // A server that has only just ended its sessions may still count them.
      await eventually(async () => {
        expect(await engine.scalar(text('SELECT 1'))).toBe(1);
      });
      await engine.dispose();
      await eventually(() => expect(server.proxy.connections).toBe(0));
    },
    60_000 + OPERATIONS * 200,
  );
});
