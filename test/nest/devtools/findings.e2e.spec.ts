import 'reflect-metadata';
import { Controller, Get } from '@nestjs/common';
import { concat, defer, firstValueFrom, map, NEVER, type Observable } from 'rxjs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AsyncEngine, DatabaseModule, sql, Transactional } from 'nest-async-engine';
import { DatabaseDevtoolsModule, StatementBudget } from 'nest-async-engine/devtools';
import type { DatabaseDevtoolsOptions } from 'nest-async-engine/devtools';
import { failureOf } from '../../support/items.js';
import { DevtoolsReader } from '../../support/nest/devtools-reader.js';
import { startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { eventually } from '../../support/process/barrier.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = sql`INSERT INTO item DEFAULT VALUES`;
const pause = (duration: number) => new Promise((resolve) => setTimeout(resolve, duration));

@Controller()
class WorkController {
  constructor(private readonly engine: AsyncEngine) {}

  @Get('many')
  async many(): Promise<void> {
    for (let n = 0; n < 4; n += 1) await this.engine.execute(sql`SELECT 1`);
  }

  @Get('one-line')
  async oneLine(): Promise<void> {
    for (let id = 0; id < 3; id += 1) await this.engine.execute(sql`SELECT * FROM item WHERE id = ${id}`);
  }

  @Get('three-lines')
  async threeLines(): Promise<void> {
    await this.engine.execute(sql`SELECT * FROM item WHERE id = ${1}`);
    await this.engine.execute(sql`SELECT * FROM item WHERE id = ${2}`);
    await this.engine.execute(sql`SELECT * FROM item WHERE id = ${3}`);
  }

  @Get('budget')
  @StatementBudget(2)
  async budget(): Promise<void> {
    await this.many();
  }

  @Get('slow')
  async slow(): Promise<void> {
    await this.engine.execute(sql`SELECT pg_sleep(0.1)`);
  }

  @Get('idle')
  @Transactional()
  async idle(): Promise<void> {
    await this.engine.execute(insert);
    await pause(100);
    await this.engine.execute(insert);
  }

  @Get('swallow')
  @Transactional({ label: 'swallow' })
  async swallow(): Promise<void> {
    await this.engine.execute(insert);
    await failureOf(this.engine.execute(sql`SELECT 1 / 0`));
  }

  @Get('siblings')
  @Transactional()
  async siblings(): Promise<void> {
    await this.engine.execute(insert);
    const child = () =>
      this.engine.transaction(async () => {
        await this.engine.execute(insert);
        await pause(100);
      });
    await Promise.all([child(), child()]);
  }

  @Get('leave')
  async leave(): Promise<void> {
    // The first value is wanted only, and there would be more.
    await firstValueFrom(this.saves());
  }

  @Transactional()
  saves(): Observable<number> {
    const save = defer(() => this.engine.execute(insert)).pipe(map(() => 1));
    return concat(save, NEVER);
  }

  @Get('crowd')
  async crowd(): Promise<void> {
    await Promise.all([this.slow(), this.slow(), this.slow()]);
  }
}

let database: TestDatabase;
let running: RunningApp;
let reader: DevtoolsReader;

beforeAll(async () => {
  database = await createDatabase('findings');
  await database.query('CREATE TABLE item (id serial PRIMARY KEY)');
});
afterEach(async () => {
  await reader.close();
  const { pool } = running.get(AsyncEngine);
  await eventually(() => expect(pool.checkedOut()).toBe(0));
  await running.close();
});
afterAll(() => database.drop());

async function start(guards: DatabaseDevtoolsOptions['guards'] = {}): Promise<void> {
  running = await startApp({
    imports: [
      DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 }),
      DatabaseDevtoolsModule.forRoot({ guards }),
    ],
    controllers: [WorkController],
  });
  reader = await DevtoolsReader.open(`${running.url}/_database`);
}

describe('a finding is', () => {
  it.each<[kind: string, path: string, limits: object, title: RegExp]>([
    ['statements', 'many', { statements: 4 }, /^GET \/many sent 4 statements/],
    ['repeated', 'one-line', { repeated: 3 }, /^GET \/one-line sent the same text 3 times with other values/],
    ['budget', 'budget', {}, /sent more than its 2 statements/],
    ['slow', 'slow', { slow: 50 }, /^a statement took \d+ ms/],
    ['heldIdle', 'idle', { heldIdle: 50 }, /^GET \/idle kept a transaction open for \d+ ms without using it/],
    ['swallowed', 'swallow', {}, /^GET \/swallow went on after a failed statement \(DataError\)/],
    ['nestedWait', 'siblings', { heldIdle: 50 }, /^GET \/siblings waited \d+ ms for its turn in its own/],
    ['unsubscribed', 'leave', {}, /^GET \/leave lost what it wrote: its Observable was unsubscribed/],
    ['poolTooSmall', 'crowd', { poolWait: 20 }, /^a caller waited \d+ ms for a connection/],
  ])('%s', async (kind, path, limits, title) => {
    await start(limits);
    await fetch(`${running.url}/${path}`);
    const finding = await reader.finding(kind);
    expect(finding.title).toMatch(title);
    expect(finding.advice.length).toBeGreaterThan(20);
  });

  it('leak: once for each loan', async () => {
    await start({ leak: 1 });
    const connection = await running.get(AsyncEngine).connect();
    await connection.execute(sql`SELECT 1`);
    const finding = await reader.finding('leak');
    expect([finding.count, finding.site]).toEqual([1, expect.stringContaining('findings.e2e.spec.ts')]);
    await connection.close();
  });

  it('none where the same text comes from three lines', async () => {
    await start({ repeated: 3 });
    await fetch(`${running.url}/three-lines`);
    await reader.unit('GET /three-lines', ({ statements }) => statements === 3);
    expect(reader.findings).toEqual([]);
  });

  it('none for work that is in order', async () => {
    await start();
    for (const path of ['many', 'idle']) await fetch(`${running.url}/${path}`);
    await reader.unit('GET /idle', ({ outcome }) => outcome === 'committed');
    expect(reader.findings).toEqual([]);
  });
});
