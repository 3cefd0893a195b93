import { request } from 'node:http';
import { Controller, Get, Injectable, Param, Post, type StreamableFile } from '@nestjs/common';
import {
  AsyncConnection,
  AsyncEngine,
  DatabaseModule,
  InjectConnection,
  InjectEngine,
  Transactional,
  sql,
  streamRows,
  text,
} from 'nest-async-engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADAPTERS, startApp, type RunningApp } from '../support/nest/nest-app.js';
import type { Random } from '../support/random.js';
import { amidst, OPERATIONS, runWorkers, SEED, silent, type Outcome } from './chaos.js';
import { MortalServer } from './mortal-server.js';

const WORKERS = 16;

@Injectable()
class Orders {
  constructor(@InjectEngine() private readonly engine: AsyncEngine) {}

  @Transactional()
  async place(id: string): Promise<void> {
    await this.engine.execute(sql`INSERT INTO placed VALUES (${id}, 'order')`);
    await this.engine.transaction(() => this.engine.execute(sql`INSERT INTO placed VALUES (${id}, 'line')`));
  }
}

@Controller()
class OrdersController {
  constructor(
    private readonly orders: Orders,
    @InjectEngine() private readonly engine: AsyncEngine,
  ) {}

  @Post('orders/:id')
  async place(@Param('id') id: string): Promise<string> {
    await this.orders.place(id);
    return id;
  }

  @Get('rows')
  rows(): StreamableFile {
    return streamRows(this.engine.stream(text('SELECT n, md5(n::text) FROM generate_series(1, 3000) AS n')), {
      format: 'ndjson',
    });
  }
}

/** The same through the request's own connection, whose unit is the request. */
@Controller('scoped')
class ScopedController {
  constructor(@InjectConnection() private readonly connection: AsyncConnection) {}

  @Post('orders/:id')
  async place(@Param('id') id: string): Promise<string> {
    await this.connection.execute(sql`INSERT INTO placed VALUES (${id}, 'order')`);
    await this.connection.execute(sql`INSERT INTO placed VALUES (${id}, 'line')`);
    return id;
  }
}

interface Answer {
  readonly status: number;
}

/** One request; `patience` in ms, after which the client goes away. */
function ask(url: string, method: string, patience: number): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    const asking = request(url, { method, agent: false }, (response) => {
      response.on('error', () => resolve(undefined));
      response.on('close', () =>
        resolve(response.complete ? { status: response.statusCode ?? 0 } : undefined),
      );
      response.resume();
    });
    asking.on('error', () => resolve(undefined));
    if (patience > 0) setTimeout(() => asking.destroy(), patience);
    asking.end();
  });
}

describe.each(ADAPTERS)(`requests whose clients hang up, over %s (seed ${SEED})`, (_, makeAdapter) => {
  let server: MortalServer;
  let running: RunningApp;

  beforeAll(async () => {
    server = await MortalServer.start();
    await server.query('CREATE TABLE placed (id text, what text)');
    running = await startApp(
      {
        imports: [
          DatabaseModule.forRoot({
            url: server.url,
            poolSize: 4,
            maxOverflow: 2,
            poolTimeout: 10_000,
            logger: silent,
          }),
        ],
        controllers: [OrdersController, ScopedController],
        providers: [Orders],
      },
      makeAdapter(),
    );
  }, 60_000);
  afterAll(async () => {
    await running.close();
    await server[Symbol.asyncDispose]();
  });

  const step = async (id: string, random: Random): Promise<Outcome> => {
    const patience = random(3) === 0 ? 1 + random(25) : 0;
    if (random(4) === 0) {
      await ask(`${running.url}/rows`, 'GET', patience);
      return 'unknown';
    }
    const route = random(2) === 0 ? 'orders' : 'scoped/orders';
    const answer = await ask(`${running.url}/${route}/${id}`, 'POST', patience);
    return answer?.status === 201 ? 'stored' : 'unknown';
  };

  it(
    'store what was answered, whole, and leave no connection out',
    async () => {
      const outcomes = await amidst(server.faults(), runWorkers(WORKERS, OPERATIONS, step));
      const engine = running.get(AsyncEngine);
      const rows = await server.query<{ id: string; what: string[] }>(
        'SELECT id, array_agg(what ORDER BY what) AS what FROM placed GROUP BY id',
      );
      expect(rows.filter(({ what }) => what.join() !== 'line,order')).toEqual([]);
      const stored = new Set(rows.map(({ id }) => id));
      const answered = [...outcomes].filter(([, outcome]) => outcome === 'stored').map(([id]) => id);
      expect(answered.length).toBeGreaterThan(0);
      expect(answered.filter((id) => !stored.has(id))).toEqual([]);
      // Handlers whose clients have gone run to their end.
      await engine.drain(5_000);
      expect(engine.pool.checkedOut()).toBe(0);
    },
    60_000 + OPERATIONS * 100,
  );
});
