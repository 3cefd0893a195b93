import { createAsyncEngine, text, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { amidst, OPERATIONS, runWorkers, SEED, silent, statementOutcome, type Outcome } from './chaos.js';
import { MortalServer } from './mortal-server.js';

const WORKERS = 64;
/** A read is quick: as many as fill the time of the other tests. */
const READS = OPERATIONS * 20;

let server: MortalServer;
let engine: AsyncEngine;

beforeAll(async () => {
  server = await MortalServer.start();
  await server.query(
    'CREATE TABLE answer AS SELECT n AS id, md5(n::text) AS word FROM generate_series(0, 999) AS n',
  );
  engine = createAsyncEngine(server.url, {
    poolSize: 4,
    maxOverflow: 2,
    connectTimeout: 5_000,
    logger: silent,
  });
}, 60_000);
afterAll(async () => {
  await engine.aclose();
  await server[Symbol.asyncDispose]();
});

const TEXTS = [
  'SELECT id, word, :question::text AS question FROM answer WHERE id = :id',
  'SELECT id, word, :question AS question FROM answer WHERE id = :id -- another text',
  'SELECT :id::int AS id, md5(:id::text) AS word, :question::text AS question FROM answer WHERE id < 3 LIMIT 1',
].map((sql) => text<{ id: number; word: string; question: string }>(sql));

describe(`reads of many callers while everything breaks (seed ${SEED})`, () => {
  it(
    'get their own answer or an error',
    async () => {
      const expected = new Map<number, string>();
      for (const { id, word } of await server.query<{ id: number; word: string }>('SELECT * FROM answer')) {
        expected.set(id, word);
      }
      const wrong: unknown[] = [];
      const work = runWorkers(WORKERS, READS, (question, random) => {
        const id = random(1_000);
        const statement = TEXTS[random(TEXTS.length)] ?? text('SELECT 1');
        return engine
          .execute(statement, { id, question })
          .one()
          .then((row): Outcome => {
            const answer = row as { id: number; word: string; question: string };
            if (answer.id !== id || answer.word !== expected.get(id) || answer.question !== question) {
              wrong.push({ id, question, answer });
            }
            return 'stored';
          }, statementOutcome);
      });
      const outcomes = await amidst(server.faults(), work);
      expect(wrong).toEqual([]);
      expect([...outcomes.values()].filter((outcome) => outcome === 'stored').length).toBeGreaterThan(
        READS / 4,
      );
      expect(engine.pool.checkedOut()).toBe(0);
    },
    30_000 + READS * 10,
  );
});
