import { setTimeout as wait } from 'node:timers/promises';
import { createAsyncEngine, isTransient, sql, type AsyncEngine } from 'nest-async-engine/engine';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { randomOf, type Random } from '../support/random.js';
import type { Fate } from '../support/server/faulty-proxy.js';
import { notHung, SEED, silent, transactionOutcome, type Outcome } from './chaos.js';
import { MortalServer } from './mortal-server.js';
import { isCommit } from '../support/server/wire-fault.js';

/** How many COMMITs are cut, and how many transfers made: `npm run test:commits` says 10,000. */
const CUTS = Number(process.env['COMMIT_CUTS'] ?? 60);
/** The server dies after so many cuts. */
const CUTS_OF_A_LIFE = Math.min(CUTS, 2_500);
const ACCOUNTS = 8;
const WORKERS = 8;
const FATES: readonly Fate[] = ['cut before', 'cut inside', 'cut behind'];

let server: MortalServer;
let engine: AsyncEngine;
/** By what was cut, and where. */
let cuts: Record<string, number>;

beforeEach(async () => {
  server = await MortalServer.start();
  // Some COMMITs take some milliseconds, so that a cut behind them meets a server that is at it.
  await server.query(
    `CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL);
     INSERT INTO account SELECT n, 0 FROM generate_series(0, ${ACCOUNTS - 1}) AS n;
     CREATE TABLE ledger (id text, source int, target int, pause int);
     CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql
       AS $$ BEGIN PERFORM pg_sleep(NEW.pause / 1000.0); RETURN NULL; END $$;
     CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON ledger DEFERRABLE INITIALLY DEFERRED
       FOR EACH ROW WHEN (NEW.pause > 0) EXECUTE FUNCTION take_time()`,
  );
  engine = createAsyncEngine(server.url, {
    commitOutcome: 'resolve',
    poolSize: WORKERS,
    maxOverflow: WORKERS,
    logger: silent,
  });
  cuts = {};
}, 60_000);
afterEach(async () => {
  await engine.aclose();
  await server[Symbol.asyncDispose]();
});

/** A quarter of the COMMITs is cut, and of their answers. */
function cutCommits(random: Random): void {
  server.proxy.cutWhere((message) => {
    if (!isCommit(message.from)(message) || random(4) > 0) return 'passes';
    const fate = FATES[random(FATES.length)] ?? 'passes';
    const name = `${fate} ${message.from === 'client' ? 'COMMIT' : 'its answer'}`;
    cuts[name] = (cuts[name] ?? 0) + 1;
    return fate;
  });
}

const cutsSoFar = (): number => Object.values(cuts).reduce((sum, count) => sum + count, 0);

/** Runs `operation` by several workers while `goesOn()`; the server dies by `kill -9` in between. */
async function underCuts(
  goesOn: (operations: number) => boolean,
  operation: (id: string, random: Random) => Promise<Outcome>,
): Promise<ReadonlyMap<string, Outcome>> {
  const outcomes = new Map<string, Outcome>();
  cutCommits(randomOf(SEED));
  const die = server.deaths(Infinity, () => 0);
  let [started, deaths] = [0, 0];
  let death: Promise<void> = Promise.resolve();
  const work = async (worker: number): Promise<void> => {
    const random = randomOf(SEED * 1_000 + worker);
    while (goesOn(started)) {
      const id = String((started += 1));
      const outcome = await notHung(`operation ${id}`, operation(id, random));
      outcomes.set(id, outcome);
      server.proxy.reset();
      // A server that is down refuses each of them at once.
      if (outcome !== 'stored') await wait(20);
      if (cutsSoFar() < (deaths + 0.5) * CUTS_OF_A_LIFE) continue;
      deaths += 1;
      death = death.then(die);
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker)));
  await death;
  server.proxy.cutWhere(() => 'passes');
  cuts['kill -9'] = deaths;
  return outcomes;
}

async function transfer(id: string, random: Random): Promise<void> {
  const source = random(ACCOUNTS);
  // In one order, so that two of them never wait for each other.
  const target = source + random(ACCOUNTS - source);
  const pause = random(4) === 0 ? 1 + random(5) : 0;
  await engine.execute(sql`INSERT INTO ledger VALUES (${id}, ${source}, ${target}, ${pause})`);
  await engine.execute(sql`UPDATE account SET balance = balance - 1 WHERE id = ${source}`);
  await engine.execute(sql`UPDATE account SET balance = balance + 1 WHERE id = ${target}`);
}

const ledger = async (): Promise<string[]> =>
  (await server.query<{ id: string }>('SELECT id FROM ledger')).map(({ id }) => id);

function report(what: string, outcomes: ReadonlyMap<string, Outcome>): void {
  if (process.env['COMMIT_CUTS'] === undefined) return;
  const told = [...outcomes.values()];
  const count = (outcome: Outcome): number => told.filter((each) => each === outcome).length;
  console.log(
    `${what} (seed ${SEED}): ${count('stored')} stored, ${count('undone')} undone, ${count('unknown')} unknown;`,
    cuts,
  );
}

describe(`COMMITs that are cut, by a server that dies (seed ${SEED})`, () => {
  const limit = 60_000 + CUTS * 200;

  it(
    'are known to their callers, each of them, and as they ended',
    async () => {
      const outcomes = await underCuts(
        () => cutsSoFar() < CUTS,
        (id, random) =>
          engine.transaction(() => transfer(id, random)).then((): Outcome => 'stored', transactionOutcome),
      );
      report('COMMITs', outcomes);
      const stored = new Set(await ledger());
      expect([...outcomes].filter(([, outcome]) => outcome === 'unknown')).toEqual([]);
      expect([...outcomes].filter(([id, outcome]) => stored.has(id) !== (outcome === 'stored'))).toEqual([]);
      expect(engine.pool.checkedOut()).toBe(0);
    },
    limit,
  );

  it(
    'are stored once, each of them, where retry repeats what is lost',
    async () => {
      const outcomes = await underCuts(
        (operations) => operations < CUTS,
        (id, random) =>
          engine
            .transaction(() => transfer(id, random), {
              retry: { retries: 1_000, maxDelay: 100, retryOn: isTransient },
            })
            .then((): Outcome => 'stored', transactionOutcome),
      );
      report('transfers', outcomes);
      expect([...outcomes.values()].filter((outcome) => outcome !== 'stored')).toEqual([]);
      expect((await ledger()).sort()).toEqual([...outcomes.keys()].sort());
      const wrong = await server.query(
        `SELECT id FROM account WHERE balance <>
         (SELECT count(*) FILTER (WHERE target = account.id) - count(*) FILTER (WHERE source = account.id) FROM ledger)`,
      );
      expect(wrong).toEqual([]);
      expect(engine.pool.checkedOut()).toBe(0);
    },
    limit,
  );
});
