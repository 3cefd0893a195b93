import { tracingChannel } from 'node:diagnostics_channel';
import { Session } from 'node:inspector/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createAsyncEngine, text } from 'nest-async-engine';
import type { AsyncEngine } from 'nest-async-engine';
import { promisesOf } from '../../support/process/promises.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const OF_EVENTS =
  /\/lib\/engine\/(?:execution\/(?:statement-(?:observer|trace|event)|connection-observer|transaction-event|event-place)|pool\/(?:pool-observer|pool-trace|pool-events)|util\/(?:event-hub|channels))\.ts$/;

let database: TestDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase('unobserved');
  engine = createAsyncEngine(database.url, { poolSize: 1 });
});
afterEach(() => expect(engine.pool.checkedOut()).toBe(0));
afterAll(async () => {
  await engine.aclose();
  await database.drop();
});

/** The functions of events that ran during `work`, each once, without the name of its class. */
async function eventFunctions(work: () => Promise<unknown>): Promise<string[]> {
  for (let run = 0; run < 3; run += 1) await work();
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
  await work();
  const { result } = await session.post('Profiler.takePreciseCoverage');
  session.disconnect();
  const ran = result
    .filter(({ url }) => OF_EVENTS.test(url))
    .flatMap(({ functions }) => functions)
    .filter(
      ({ ranges: [range], functionName }) => range !== undefined && range.count > 0 && functionName !== '',
    );
  return [...new Set(ran.map(({ functionName }) => functionName))].toSorted();
}

const select = text<{ n: number }>('SELECT :n::int4 AS n');

it('asks whether something observes a SELECT, and does nothing else of the events where nothing does', async () => {
  expect(await eventFunctions(() => engine.execute(select, { n: 1 }).one())).toEqual(['get isObserved']);
});

it('does the same in a transaction', async () => {
  const ran = await eventFunctions(() => engine.transaction(() => engine.execute(select, { n: 1 }).one()));
  expect(ran).toEqual(['get isObserved']);
});

it('runs the functions of events where something listens', async () => {
  const listener = (): void => undefined;
  engine.on('afterExecute', listener);
  const ran = await eventFunctions(() => engine.execute(select, { n: 1 }).one());
  engine.off('afterExecute', listener);
  expect(ran).toEqual(expect.arrayContaining(['emit', 'finished', 'begin']));
});

it('makes at most two promises more of a statement where channels alone observe it', async () => {
  const run = (): Promise<unknown> => engine.execute(select, { n: 1 }).one();
  for (let warm = 0; warm < 3; warm += 1) await run();
  const alone = await promisesOf(run);
  const channels = ['statement', 'acquire'].map(
    (name) => tracingChannel(`nest-async-engine:${name}`).asyncEnd,
  );
  const hear = (): void => undefined;
  for (const channel of channels) channel.subscribe(hear);
  const observed = await promisesOf(run);
  for (const channel of channels) channel.unsubscribe(hear);
  expect(observed - alone).toBeLessThanOrEqual(2);
});
