import 'reflect-metadata';
import { Controller, Get, Injectable, Module, Param } from '@nestjs/common';
import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { createObserveModule } from '@nestjs/observe';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AsyncEngine, DatabaseModule, sql, text, Transactional } from 'nest-async-engine';
import { createTestDatabase } from 'nest-async-engine/testing';
import type { TestDatabase } from 'nest-async-engine/testing';
import { Collector } from './collector.js';
import type { Span } from './collector.js';

const collector = new Collector();
// As the guide says: what a statement waits for would else be the end of its parent.
const { ObserveModule, ObserveInstrument } = createObserveModule({
  skipInstrumentation: (instance) => instance instanceof AsyncEngine,
});

@Injectable()
class Orders {
  constructor(private readonly engine: AsyncEngine) {}

  /** Quick reads of one text, which share connections. */
  async read(id: string): Promise<void> {
    const quick = text(`SELECT :id::text AS shared`);
    await Promise.all([1, 2, 3].map(() => this.engine.execute(quick, { id })));
  }

  @Transactional()
  async place(id: string): Promise<void> {
    await this.engine.execute(sql`INSERT INTO orders VALUES (${id})`);
    await this.pay(id).catch(() => undefined);
    await this.engine.execute(sql`UPDATE orders SET id = id WHERE id = ${id}`);
  }

  /** Fails: the row is there. */
  @Transactional()
  async pay(id: string): Promise<void> {
    await this.engine.execute(sql`INSERT INTO orders VALUES (${id})`);
  }

  async import(id: string): Promise<void> {
    await this.engine.execute(text('INSERT INTO lines VALUES (:id, :line)'), [
      { id, line: 1 },
      { id, line: 2 },
    ]);
  }

  async export(): Promise<void> {
    const rows = text('SELECT generate_series(1, 9) AS n');
    for await (const row of this.engine.stream(rows, undefined, { yieldPer: 2 })) expect(row).toBeDefined();
  }
}

@Controller()
class OrdersController {
  constructor(private readonly orders: Orders) {}

  @Get(':work/:id')
  async run(@Param('work') work: keyof typeof SEEN, @Param('id') id: string): Promise<string> {
    await this.orders[work](id);
    return 'done';
  }
}

/** The statements of each kind of work, as the agent must see them: where, what, and whether it has failed. */
const SEEN = {
  read: Array.from({ length: 3 }, () => 'Orders.read: SELECT $1::text AS shared'),
  place: [
    'Orders.place: INSERT INTO orders VALUES ($1)',
    'Orders.pay: INSERT INTO orders VALUES ($1), failed',
    'Orders.place: UPDATE orders SET id = id WHERE id = $1',
  ],
  import: ['Orders.import: INSERT INTO lines VALUES ($n)'],
  export: ['Orders.export: SELECT generate_series(?) AS n'],
} as const;
const KINDS = Object.keys(SEEN) as (keyof typeof SEEN)[];

let database: TestDatabase;
let app: INestApplication;
let url: string;

beforeAll(async () => {
  database = await createTestDatabase();
  const endpoint = await collector.start();
  @Module({
    imports: [
      ObserveModule.forRoot({
        appKey: 'key',
        appSecret: 'secret',
        serviceId: 'shop',
        endpoint,
        flushInterval: 1_000,
        runtimeMetrics: false,
      }),
      DatabaseModule.forRoot({ url: database.url }),
    ],
    controllers: [OrdersController],
    providers: [Orders],
  })
  class AppModule {}
  app = await NestFactory.create(AppModule, { instrument: ObserveInstrument, logger: false });
  await app.listen(0, '127.0.0.1');
  url = await app.getUrl();
  const engine = app.get(AsyncEngine);
  await engine.execute(sql`CREATE TABLE orders (id text PRIMARY KEY)`);
  await engine.execute(sql`CREATE TABLE lines (id text, line int)`);
});
afterAll(async () => {
  await app.close();
  await collector.stop();
  await database.drop();
});

/** COMMIT and its like, which the agent sees where they leave alone. */
const CONTROL = /^(?:COMMIT|ROLLBACK|RELEASE)\b/;

/** What ran below `span`, each in the method of ours that is nearest above it. */
function statementsIn(span: Span, method = ''): string[] {
  const { c: className, m: name, t: tags, e: error, ch: children = [] } = span;
  if (className === 'pg') {
    const statement = String(tags?.['db.statement']);
    return CONTROL.test(statement) ? [] : [`${method}: ${statement}${error === undefined ? '' : ', failed'}`];
  }
  const nearest = className === 'Orders' ? `${className}.${name}` : method;
  return children.flatMap((child) => statementsIn(child, nearest));
}

it('@nestjs/observe sees each statement once, in the request and the method that has sent it', async () => {
  const requests = Array.from({ length: 40 }, (_, id) => `/${KINDS[id % KINDS.length]}/${id}`);
  const answers = await Promise.all(requests.map(async (path) => (await fetch(`${url}${path}`)).text()));
  expect(answers).toEqual(requests.map(() => 'done'));
  await collector.until(() => collector.requests.length >= requests.length);
  const seen = collector.requests.map(({ path, spans }) => [
    path,
    spans.flatMap((span) => statementsIn(span)).toSorted(),
  ]);
  const expected = requests.map((path) => {
    const kind = KINDS.find((each) => path.startsWith(`/${each}/`)) ?? 'read';
    return [path, SEEN[kind].toSorted()];
  });
  expect(seen.toSorted()).toEqual(expected.toSorted());
});
