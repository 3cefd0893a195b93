import { once } from 'node:events';
import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from '../support/process/barrier.js';
import { growthThatRecurs } from '../support/process/growth.js';
import { buildNestServer } from '../support/nest/nest-child.js';
import type { NestChild } from '../support/nest/nest-child.js';
import { storedNames } from '../support/process/outcome.js';
import { createDatabase } from '../support/server/postgres.js';
import type { TestDatabase } from '../support/server/postgres.js';

/** LONG_STREAMS=1: a gigabyte instead of a hundred megabytes, and all formats on both adapters. */
const IS_LONG = process.env['LONG_STREAMS'] === '1';
const COUNT = IS_LONG ? 1_000_000 : 100_000;
const PATHS = ['rows/ndjson', 'rows/csv', 'rows/json', 'events'];
/** A hundred megabytes cost a second or two of both cores: the formats share one pump, so each is taken once. */
const ADAPTERS: readonly (readonly [name: string, paths: readonly string[]])[] = [
  ['Express', IS_LONG ? PATHS : ['rows/ndjson', 'events']],
  ['Fastify', IS_LONG ? PATHS : ['rows/csv', 'rows/json']],
];
const ROW_BYTES = 1_000;
/** Far below what the rows would need, above what a garbage collector leaves behind in so long a time. */
const FLAT = (IS_LONG ? 160 : 80) * 2 ** 20;

let database: TestDatabase;
let server: Awaited<ReturnType<typeof buildNestServer>>;

beforeAll(async () => {
  database = await createDatabase('processes');
  await database.query('CREATE TABLE items (name text)');
  server = await buildNestServer();
});
beforeEach(() => database.query('TRUNCATE items'));
afterAll(async () => {
  await server.remove();
  await database.drop();
});

async function end(child: NestChild): Promise<void> {
  child.process.kill('SIGTERM');
  await child.ended;
}

describe.each(ADAPTERS)('an application on %s in a process of its own', (adapter, paths) => {
  it('that gets SIGTERM under load finishes what it began, refuses the rest and leaves no session', async () => {
    const child = await server.start(adapter, database.url);
    onTestFinished(() => void child.process.kill('SIGKILL'));
    let done = 0;
    const client = async (): Promise<void> => {
      for (;;) {
        // Kept alive, a socket that is never idle would keep the server open: Nest's forceCloseConnections is for that.
        const headers = { connection: 'close' };
        const response = await fetch(`${child.url}/work`, { headers }).catch(() => undefined);
        // Express refuses the socket, Fastify answers 503.
        if (response?.ok !== true) return;
        expect(await response.text()).toBe('done');
        done += 1;
      }
    };
    const clients = Array.from({ length: 16 }, client);
    await eventually(() => expect(done).toBeGreaterThan(50), 20_000);
    const begun = performance.now();
    child.process.kill('SIGTERM');
    await Promise.all(clients);
    const { signal, complaints } = await child.ended;
    expect(performance.now() - begun).toBeLessThan(5_000);
    // Nest ends itself by the signal once everything is closed.
    expect([signal, complaints]).toEqual(['SIGTERM', '']);
    expect(await storedNames(database)).toHaveLength(done);
    await eventually(async () => expect(await database.sessions()).toEqual([]));
  }, 60_000);

  describe('streams', () => {
    let child: NestChild;
    beforeAll(async () => {
      child = await server.start(adapter, database.url);
      await readSlowly('rows/ndjson?count=5000');
    }, 60_000);
    afterAll(() => end(child));

    const memoryGrowth = async (): Promise<number> =>
      Number(await (await fetch(`${child.url}/memory`)).text());

    /** Stops for a while in the beginning, and now and then; gives the length. */
    async function readSlowly(path: string): Promise<number> {
      const [response] = (await once(get(`${child.url}/${path}`), 'response')) as [IncomingMessage];
      let length = 0;
      let nextRest = 1;
      for await (const chunk of response as AsyncIterable<Buffer>) {
        length += chunk.length;
        if (length < nextRest) continue;
        nextRest = length + (COUNT * ROW_BYTES) / 5;
        await wait(100);
      }
      return length;
    }

    it.for(paths)(
      `${COUNT} rows as %s to a slow client in flat memory`,
      { timeout: 240_000 },
      async (path, { annotate }) => {
        const growthOfOne = async (): Promise<number> => {
          await memoryGrowth();
          expect(await readSlowly(`${path}?count=${COUNT}`)).toBeGreaterThan(COUNT * ROW_BYTES);
          const growth = await memoryGrowth();
          await annotate(`${Math.round(growth / 2 ** 20)} MB more at most`);
          return growth;
        };
        expect(await growthThatRecurs(FLAT, growthOfOne)).toBeLessThan(FLAT);
      },
    );
  });
});
