import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import type { AsyncEngineOptions } from 'nest-async-engine/engine';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ProgramReport } from '../../support/fixtures/pooler-program.js';
import { buildFixture } from '../../support/process/build-fixture.js';
import { PgBouncer, pgbouncerVersion } from '../../support/server/pgbouncer.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

const PROCESSES = 4;
const CALLERS = 10;
const UNITS = Math.ceil(Number(process.env['POOLER_STATEMENTS'] ?? 800) / PROCESSES);
const LIMIT = 60_000 + 50 * PROCESSES * UNITS;
const POOL_TIMEOUT = 30_000;

let database: TestDatabase;
let fixture: Awaited<ReturnType<typeof buildFixture>>;

/** Runs the program in a process of its own, to its end. */
async function runProgram(url: string, options: AsyncEngineOptions, program: number): Promise<ProgramReport> {
  const child = fork(fixture.script, { execArgv: [] });
  child.send({ url, options, program, units: UNITS, callers: CALLERS });
  const [report] = (await once(child, 'message')) as [ProgramReport];
  child.disconnect();
  await once(child, 'exit');
  return report;
}

/** Runs one in each process; gives their reports and the most sessions that the server saw meanwhile. */
async function runAll(url: string, options: AsyncEngineOptions) {
  let state: 'running' | 'done' = 'running';
  let mostSessions = 0;
  const count = async (): Promise<void> => {
    while (state === 'running') {
      mostSessions = Math.max(mostSessions, (await database.sessions()).length);
      await wait(5);
    }
  };
  const counted = count();
  const programs = Array.from({ length: PROCESSES }, (_, index) => runProgram(url, options, index));
  const reports = await Promise.all(programs).finally(() => (state = 'done'));
  await counted;
  return { reports, mostSessions };
}

async function expectAllDone(reports: readonly ProgramReport[]): Promise<void> {
  for (const { units, errors, longestGap } of reports) {
    expect(errors).toEqual([]);
    expect(units).toBe(UNITS);
    expect(longestGap).toBeLessThan(POOL_TIMEOUT);
  }
  const stored = await database.query<{ program: number; units: number }>(
    'SELECT program, count(DISTINCT unit)::int AS units FROM done GROUP BY program ORDER BY program',
  );
  const writes = Array.from({ length: UNITS }, (_, n) => n).filter((n) => n % 4 === 1 || n % 4 === 2).length;
  expect(stored).toEqual(reports.map((_, program) => ({ program, units: writes })));
}

beforeAll(async () => {
  database = await createDatabase('four');
  await database.query('CREATE TABLE done (program int, unit int)');
  fixture = await buildFixture('pooler-program');
});
beforeEach(() => database.query('TRUNCATE done'));
afterAll(async () => {
  await fixture.remove();
  await database.drop();
});

describe(`${PROCESSES} processes with ${CALLERS} callers each`, () => {
  it(
    'open no more sessions on one PostgreSQL than their budget, and each gets its work done',
    { timeout: LIMIT },
    async () => {
      const options = { poolSize: 2, maxOverflow: 1, poolTimeout: POOL_TIMEOUT };
      const { reports, mostSessions } = await runAll(database.url, options);
      await expectAllDone(reports);
      expect(mostSessions).toBeLessThanOrEqual(PROCESSES * 3);
      expect(mostSessions).toBeGreaterThan(PROCESSES);
    },
  );

  it.skipIf(pgbouncerVersion() === undefined).each([{ pgbouncer: true }, {}])(
    'share the sessions of one PgBouncer, and each gets its work done: %o (skipped without the program)',
    { timeout: LIMIT },
    async (more) => {
      const untracked = (pgbouncerVersion() ?? 0) >= 1.21 ? { max_prepared_statements: '0' } : {};
      await using pooler = await PgBouncer.start(database.url, { default_pool_size: '4', ...untracked });
      const options = { poolSize: 8, maxOverflow: 0, poolTimeout: POOL_TIMEOUT, ...more };
      const { reports, mostSessions } = await runAll(pooler.url, options);
      await expectAllDone(reports);
      expect(mostSessions).toBeLessThanOrEqual(4);
    },
  );
});
