import 'reflect-metadata';
import { Agent, get } from 'node:http';
import type { ClientRequest } from 'node:http';
import { Controller, Get } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { AsyncEngine, DatabaseModule, sql, Transactional } from 'nest-async-engine';
import { DatabaseDevtoolsModule } from 'nest-async-engine/devtools';
import { startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { eventually } from '../../support/process/barrier.js';
import { collectGarbage } from '../../support/process/garbage.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

/** With the page open; as many run while it is closed. Long by `npm run test:devtools`. */
const REQUESTS = Number(process.env['DEVTOOLS_REQUESTS'] ?? 400);
const SLICES = 20;
const CLIENTS = 8;
/** A unit has up to 500 steps; what is kept of 200 of these is far below it. */
const MEGABYTES = 12;

const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
@Controller()
class WorkController {
  constructor(private readonly engine: AsyncEngine) {}

  @Get('one')
  async one(): Promise<number> {
    return (await this.engine.execute(sql<{ n: number }>`SELECT ${1}::int AS n`).one()).n;
  }

  @Get('both')
  @Transactional()
  async both(): Promise<number> {
    return (await this.one()) + (await this.one());
  }
}

let database: TestDatabase;
let running: RunningApp;

beforeAll(async () => {
  database = await createDatabase('devtools_load');
  running = await startApp({
    imports: [DatabaseModule.forRoot({ url: database.url, poolSize: 4 }), DatabaseDevtoolsModule.forRoot()],
    controllers: [WorkController],
  });
});
afterEach(() => eventually(() => expect(running.get(AsyncEngine).pool.checkedOut()).toBe(0)));
afterAll(async () => {
  agent.destroy();
  await running.close();
  await database.drop();
});

const visit = (path: string): Promise<number> =>
  new Promise((resolve, reject) => {
    get(`${running.url}/${path}`, { agent }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode ?? 0));
    }).once('error', reject);
  });

/** An open page, read by nobody here: what a browser does with it is not the application's cost. */
function openPage(): Promise<ClientRequest> {
  return new Promise((resolve, reject) => {
    const request = get(`${running.url}/_database/events`, (response) => {
      response.once('data', () => resolve(request)).once('error', () => undefined);
    }).once('error', reject);
  });
}

/** Milliseconds of each request. */
async function slice(count: number): Promise<number[]> {
  const times: number[] = [];
  let left = count;
  const client = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const start = performance.now();
      if ((await visit(left % 4 === 0 ? 'both' : 'one')) !== 200)
        throw new Error('the application does not answer');
      times.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return times;
}

async function withPage(count: number): Promise<number[]> {
  const page = await openPage();
  try {
    return await slice(count);
  } finally {
    page.destroy();
  }
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

async function heap(): Promise<number> {
  await collectGarbage();
  await collectGarbage();
  return process.memoryUsage().heapUsed / 1_048_576;
}

it('keeps the heap flat under load while the page is open', async () => {
  const count = Math.ceil(REQUESTS / SLICES);
  // What is kept is full then, and the code is warm.
  await withPage(Math.max(count, 250));
  await slice(Math.max(count, 250));
  const before = await heap();
  const ratios: number[] = [];
  for (let round = 0; round < SLICES; round += 1) {
    const [first, second] = round % 2 === 0 ? [withPage, slice] : [slice, withPage];
    const one = median(await first(count));
    const other = median(await second(count));
    ratios.push(round % 2 === 0 ? one / other : other / one);
  }
  const grown = (await heap()) - before;
  // A figure for a quiet machine, and no test of it.
  console.log(
    `${count * SLICES} requests with the page open: median latency × ${median(ratios).toFixed(3)} of that without it, heap ${grown >= 0 ? '+' : ''}${grown.toFixed(1)} MiB`,
  );
  expect(grown).toBeLessThan(MEGABYTES);
}, 3_600_000);
