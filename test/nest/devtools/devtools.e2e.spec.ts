import 'reflect-metadata';
import { Controller, Get, Logger } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AsyncEngine, DatabaseModule, InjectEngine, sql, text } from 'nest-async-engine';
import type { DatabaseModuleOptions } from 'nest-async-engine';
import { DatabaseDevtoolsModule } from 'nest-async-engine/devtools';
import type { DatabaseDevtoolsOptions } from 'nest-async-engine/devtools';
import { failureOf } from '../../support/items.js';
import { DevtoolsReader } from '../../support/nest/devtools-reader.js';
import { fillShop, ShopController } from '../../support/nest/devtools-shop.js';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { eventually } from '../../support/process/barrier.js';
import { connect, createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const isOver = ({ outcome }: { readonly outcome: string }): boolean => outcome !== 'running';
const isNoWait = ({ kind }: { readonly kind: string }): boolean => kind !== 'wait';

@Controller()
class BothController {
  constructor(
    private readonly engine: AsyncEngine,
    @InjectEngine('second') private readonly second: AsyncEngine,
  ) {}

  @Get('both')
  async both(): Promise<void> {
    for (const engine of [this.engine, this.engine]) await engine.execute(text('SELECT 1'));
    await this.second.execute(text('SELECT 2'));
  }
}

describe.each(ADAPTERS)('DatabaseDevtoolsModule on %s', (_name, adapter) => {
  let database: TestDatabase;
  let running: RunningApp;
  let reader: DevtoolsReader;

  beforeEach(async () => {
    database = await createDatabase('devtools');
    await fillShop(database);
  });

  afterEach(async () => {
    await reader?.close();
    const { pool } = running.get(AsyncEngine);
    await eventually(() => expect(pool.checkedOut()).toBe(0));
    await running.close();
    await database.drop();
  });

  async function start(
    options: DatabaseDevtoolsOptions = {},
    engineOptions: DatabaseModuleOptions = {},
  ): Promise<void> {
    running = await startApp(
      {
        imports: [
          DatabaseModule.forRoot({ url: database.url, ...engineOptions }),
          DatabaseDevtoolsModule.forRoot(options),
        ],
        controllers: [ShopController],
      },
      adapter(),
    );
    reader = await DevtoolsReader.open(`${running.url}${options.path ?? '/_database'}`);
  }

  it('shows the steps of a request, with what a savepoint has undone and what is kept', async () => {
    await start();
    await fetch(`${running.url}/place`);
    const unit = await reader.unit('GET /place', ({ outcome }) => outcome !== 'running');
    expect(unit).toMatchObject({ outcome: 'committed', statements: 2, roundTrips: 4 });
    const [begin, first, savepoint, second] = unit.steps;
    expect(begin).toMatchObject({ kind: 'transaction', fate: 'kept' });
    expect(first).toMatchObject({
      kind: 'statement',
      text: 'INSERT INTO item VALUES (100)',
      fate: 'kept',
      rows: 1,
    });
    expect(first?.parent).toBe(begin?.id);
    expect(first?.site).toContain('devtools-shop.ts');
    expect(savepoint).toMatchObject({ kind: 'savepoint', fate: 'undone', parent: begin?.id });
    expect(second).toMatchObject({ kind: 'statement', fate: 'undone', parent: savepoint?.id });
  });

  it('shows a request that failed as rolled back, and one without a transaction as it is', async () => {
    await start();
    await Promise.all(['fail', 'wrong', 'orders'].map((path) => fetch(`${running.url}/${path}`)));
    const failed = await reader.unit('GET /fail', isOver);
    expect(failed.outcome).toBe('rolled back');
    expect(failed.steps.filter(isNoWait).map(({ fate }) => fate)).toEqual(['undone', 'undone']);
    const wrong = await reader.unit('GET /wrong', isOver);
    expect(wrong.outcome).toBe('failed');
    expect(wrong.steps.find(isNoWait)?.error).toContain('missing');
    expect((await reader.unit('GET /orders', isOver)).outcome).toBe('autocommit');
  });

  it('shows the wait for a connection in front of the statement that it was for', async () => {
    await start({}, { poolSize: 1, maxOverflow: 0 });
    const engine = running.get(AsyncEngine);
    const held = await engine.connect();
    const placing = fetch(`${running.url}/place`);
    await eventually(() => expect(engine.pool.waiting()).toBe(1));
    await held.close();
    await (await placing).text();
    const { steps } = await reader.unit('GET /place', isOver);
    const [transaction, wait, insert] = steps;
    expect([transaction?.kind, wait?.kind, insert?.kind]).toEqual(['transaction', 'wait', 'statement']);
    expect([wait?.parent, insert?.parent]).toEqual([transaction?.id, transaction?.id]);
    expect(wait?.duration).toBeGreaterThan(0);
    expect(steps.filter(({ kind }) => kind === 'wait')).toHaveLength(1);
  });

  it('shows no wait of a borrower that has sent nothing to the next one', async () => {
    await start({}, { poolSize: 1, maxOverflow: 0 });
    const engine = running.get(AsyncEngine);
    const held = await engine.connect();
    const waiting = engine.connect();
    await eventually(() => expect(engine.pool.waiting()).toBe(1));
    await held.close();
    await (await waiting).close();
    await (await fetch(`${running.url}/place`)).text();
    const { steps } = await reader.unit('GET /place', isOver);
    expect(steps.filter(({ kind }) => kind === 'wait')).toEqual([]);
  });

  it('shows the wait of a caller that got no connection, with its error', async () => {
    await start({}, { poolSize: 1, maxOverflow: 0, poolTimeout: 50 });
    const held = await running.get(AsyncEngine).connect();
    expect((await fetch(`${running.url}/orders`)).status).toBe(500);
    await held.close();
    const { steps } = await reader.unit('GET /orders', isOver);
    expect(steps).toMatchObject([
      { kind: 'wait', error: expect.stringContaining('no connection became free') },
    ]);
  });

  it('shows a statement that was refused before it was sent, and ends the job that it was all of', async () => {
    await start();
    const engine = running.get(AsyncEngine);
    await engine.scope(() => failureOf(engine.execute(text('SELECT :missing AS one'))), { label: 'job' });
    const { steps } = await reader.unit('job', isOver);
    expect(steps).toMatchObject([{ kind: 'statement', text: 'SELECT $1 AS one', fate: 'undone' }]);
  });

  it.each([false, true])('shows the SQL of another application with values: %j alone', async (values) => {
    await start({ values });
    const other = await connect(`${database.url}?application_name=reports`);
    await other.query('BEGIN');
    const insert = 'INSERT INTO item VALUES (100, 4711)';
    await other.query(insert);
    const placing = fetch(`${running.url}/place`);
    const theirs = await reader.lock(({ application }) => application === 'reports');
    const { processID: pid } = other as typeof other & { readonly processID?: number };
    expect(theirs).toMatchObject({ pid, ...(values && { sql: insert }) });
    expect('sql' in theirs).toBe(values);
    const ours = await reader.lock(({ label }) => label === 'GET /place');
    expect(ours.sql).toBe('INSERT INTO item VALUES (100)');
    await other.query('ROLLBACK');
    await other.end();
    await (await placing).text();
  });

  it('finds N + 1, names its line, and folds it into one text with its figures', async () => {
    await start();
    await fetch(`${running.url}/orders`);
    const finding = await reader.finding('repeated');
    expect(finding.title).toBe('GET /orders sent the same text 5 times with other values (N + 1)');
    expect(finding.site).toContain('devtools-shop.ts');
    const statement = await reader.statement('SELECT * FROM item WHERE id = $1', ({ calls }) => calls === 6);
    expect(statement).toMatchObject({ rows: 6, errors: 0 });
    expect(statement.sites[0]).toContain('devtools-shop.ts');
  });

  it('asks for the plan of a statement and leaves nothing behind', async () => {
    await start();
    await fetch(`${running.url}/place`);
    const { id } = await reader.statement('INSERT INTO item VALUES (100)');
    const plan = await reader.explain({ statement: id });
    expect(plan.body.plan).toContain('Insert on item');
    const analyzed = await reader.explain({ statement: id, analyze: true });
    expect(analyzed.status).toBe(400);
    expect(analyzed.body.message).toContain('read-only');
    expect((await reader.explain({ statement: 'x' })).status).toBe(400);
  });

  it('writes Server-Timing into answers that needed the database, and into no other', async () => {
    await start();
    const answer = await fetch(`${running.url}/place`);
    expect(answer.headers.get('server-timing')).toMatch(/^db;dur=[\d.]+;desc="2 statements, 4 round trips"$/);
    expect((await fetch(`${running.url}/quiet`)).headers.get('server-timing')).toBeNull();
  });

  async function startBoth(): Promise<void> {
    running = await startApp(
      {
        imports: [
          DatabaseModule.forRoot({ url: database.url }),
          DatabaseModule.forRoot({ name: 'second', url: database.url }),
          DatabaseDevtoolsModule.forRoot(),
          DatabaseDevtoolsModule.forRoot({ path: '/_first', engines: ['default'] }),
          DatabaseDevtoolsModule.forRoot({ path: '/_second', engines: ['second'] }),
        ],
        controllers: [BothController],
      },
      adapter(),
    );
    reader = await DevtoolsReader.open(`${running.url}/_database`);
  }

  it('keeps the databases of an application apart, by their names', async () => {
    await startBoth();
    await fetch(`${running.url}/both`);
    const [first, second] = [await reader.statement('SELECT 1'), await reader.statement('SELECT 2')];
    expect([first.engine, second.engine]).toEqual(['default', 'second']);
    expect((await reader.explain({ statement: second.id })).body.plan).toContain('Result');
    await eventually(() =>
      expect([...reader.units.values()].map((unit) => [unit.label, unit.engine, unit.statements])).toEqual([
        ['GET /both', 'default', 2],
        ['GET /both', 'second', 1],
      ]),
    );
  });

  it('writes one Server-Timing for several pages, in which each engine counts once', async () => {
    await startBoth();
    const answer = await fetch(`${running.url}/both`);
    expect(answer.headers.get('server-timing')).toMatch(/^db;dur=[\d.]+;desc="3 statements, 3 round trips"$/);
  });

  it('shows no values unless it is told to', async () => {
    await start();
    await fetch(`${running.url}/orders`);
    const hidden = await reader.unit('GET /orders', ({ statements }) => statements === 7);
    expect(hidden.steps.every(({ values }) => values === undefined)).toBe(true);
  });

  it('shows no values in the errors and plans of the server', async () => {
    await start();
    const { status } = await fetch(`${running.url}/find?stock=44441&name=alice%40example.com`);
    expect(status).toBe(500);
    const unit = await reader.unit('GET /find', ({ outcome }) => outcome !== 'running');
    const [found, broken] = unit.steps;
    expect(broken?.error).toBe('DataError: invalid input syntax for type integer: "…"');
    const { id } = await reader.statement(found?.text ?? '');
    const plan = (await reader.explain({ statement: id })).body.plan ?? '';
    expect(plan).toMatch(/Filter: \(\(stock <> …\) AND .*<> '…'/);
    expect(plan).toMatch(/cost=\d/);
    const refused = await reader.explain({ statement: (await reader.statement(broken?.text ?? '')).id });
    expect(JSON.stringify([plan, refused, ...reader.units.values()])).not.toMatch(/44441|alice/);
  });

  it.each([
    [undefined, 1],
    ['  ', 1],
    ['development', 0],
  ])('warns without a guard where NODE_ENV is %j', async (environment, warnings) => {
    const warn = vi.spyOn(Logger.prototype, 'warn').mockReturnValue();
    vi.stubEnv('NODE_ENV', environment);
    await start();
    const said = warn.mock.calls.filter(([line]) =>
      String(line).startsWith('NODE_ENV is not set: /_database'),
    );
    expect(said).toHaveLength(warnings);
    vi.unstubAllEnvs();
    warn.mockRestore();
  });

  it('shows values where it is told to', async () => {
    await start({ values: true });
    await fetch(`${running.url}/orders`);
    const shown = await reader.unit('GET /orders', ({ statements }) => statements === 7);
    expect(shown.steps[1]?.values).toBe('[1]');
  });

  it('keeps 200 units and 500 steps of one, whatever happens', async () => {
    await start();
    const engine = running.get(AsyncEngine);
    await engine.scope(
      async () => {
        for (let n = 0; n < 510; n += 1) await engine.execute(sql`SELECT 1`);
      },
      { label: 'long job' },
    );
    const long = await reader.unit('long job', ({ outcome }) => outcome !== 'running');
    expect(long.steps).toHaveLength(500);
    expect(long.omitted).toBe(10);
    for (let n = 0; n < 250; n += 1) await engine.execute(sql`SELECT 1`);
    const again = await DevtoolsReader.open(`${running.url}/_database`);
    await eventually(() => expect(again.units.size).toBe(200));
    await again.close();
  });

  it('refuses a repetition where findings are thrown', async () => {
    await start({ guards: { repeated: 3, action: 'throw' } });
    expect((await fetch(`${running.url}/orders`)).status).toBe(500);
    expect((await reader.finding('repeated')).count).toBe(1);
  });

  it('does not keep the application from ending while a page is open', async () => {
    await start();
    await fetch(`${running.url}/place`);
    await reader.unit('GET /place');
    await expect(running.close()).resolves.toBeUndefined();
    await reader.close();
  });

  it('is at the path that it is given, behind the guard that it is given', async () => {
    await start({ path: '/admin/db', guard: (context) => allowed(context) });
    expect((await fetch(`${running.url}/admin/db`)).status).toBe(403);
    expect((await fetch(`${running.url}/_database`)).status).toBe(404);
    const page = await fetch(`${running.url}/admin/db`, { headers: { 'x-admin': 'yes' } });
    expect(page.status).toBe(200);
    expect(page.headers.get('content-security-policy')).toContain(`default-src 'none'`);
  });
});

function allowed(context: {
  switchToHttp(): { getRequest(): { headers: Record<string, unknown> } };
}): boolean {
  return context.switchToHttp().getRequest().headers['x-admin'] === 'yes';
}

describe('DatabaseDevtoolsModule.forRoot()', () => {
  afterEach(() => vi.unstubAllEnvs());

  it.each(['production', ' production ', 'Production', 'prod', 'staging'])(
    'is refused without a guard where NODE_ENV is %j',
    (environment) => {
      vi.stubEnv('NODE_ENV', environment);
      expect(() => DatabaseDevtoolsModule.forRoot()).toThrow(/NODE_ENV is/);
      expect(DatabaseDevtoolsModule.forRoot({ guard: () => true }).module).toBe(DatabaseDevtoolsModule);
    },
  );

  it.each([
    [{ path: 'database' }, /'path' must be a path such as/],
    [{ guards: { repeated: 0 } }, /'repeated' must be a whole number from 1/],
    [{ color: 'red' }, /color/],
  ])('refuses %j', (options, message) => {
    expect(() => DatabaseDevtoolsModule.forRoot(options as DatabaseDevtoolsOptions)).toThrow(message);
  });
});
