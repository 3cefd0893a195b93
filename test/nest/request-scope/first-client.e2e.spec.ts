import { Controller, Get, Inject, Injectable, Param } from '@nestjs/common';
import { Client, ClientProxyFactory, ClientsModule, MessagePattern, Transport } from '@nestjs/microservices';
import type { ClientProxy, MicroserviceOptions } from '@nestjs/microservices';
import { concatMap, lastValueFrom } from 'rxjs';
import type { Observable } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AsyncEngine, DatabaseModule, InjectScopedConnection, Transactional, sql } from 'nest-async-engine';
import type { AsyncConnection } from 'nest-async-engine';
import { freePort } from '../../../lib/embedded/free-port.js';
import { Latch } from '../../support/process/barrier.js';
import { startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;
const where = { transport: Transport.TCP, options: { host: '127.0.0.1', port: await freePort() } } as const;
let connected: Latch;
let mayFail: Latch;

@Injectable()
class Store {
  constructor(private readonly engine: AsyncEngine) {}

  @Transactional()
  async add(name: string): Promise<string> {
    await this.engine.execute(insert(name));
    return 'stored';
  }
}

@Controller()
class Orders {
  constructor(
    @InjectScopedConnection() private readonly connection: AsyncConnection,
    private readonly store: Store,
    @Inject('PRICES') private readonly provided: ClientProxy,
  ) {}

  @Client(where)
  private readonly decorated!: ClientProxy;
  private readonly made = ClientProxyFactory.create(where);

  private client(way: string): ClientProxy {
    return way === 'provider' ? this.provided : way === '@Client()' ? this.decorated : this.made;
  }

  @MessagePattern('price')
  price(_item: string): number {
    return 42;
  }

  @Get('first/:way')
  async first(@Param('way') way: string): Promise<never> {
    await this.connection.execute(insert('first'));
    await lastValueFrom(this.client(way).send('price', {}));
    connected.open();
    await mayFail.opened;
    throw new Error('on purpose');
  }

  @Get('next/:way')
  next(@Param('way') way: string): Observable<string> {
    return this.client(way)
      .send('price', {})
      .pipe(concatMap(() => this.store.add('next')));
  }
}

let database: TestDatabase;
let running: RunningApp;
beforeAll(async () => {
  database = await createDatabase('first_client');
  await database.query('CREATE TABLE items (name text)');
  running = await startApp(
    {
      imports: [
        DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 }),
        ClientsModule.register([{ name: 'PRICES', ...where }]),
      ],
      controllers: [Orders],
      providers: [Store],
    },
    undefined,
    (app) => app.connectMicroservice<MicroserviceOptions>(where),
  );
  await running.app.startAllMicroservices();
});
afterAll(async () => {
  await running.close();
  await database.drop();
});

const ask = async (path: string): Promise<string> => await (await fetch(`${running.url}/${path}`)).text();

describe('a client of a hybrid application that the first request has connected', () => {
  it.each(['provider', '@Client()', 'made by a class'])(
    'carries nothing of it into the next ones: %s',
    async (way) => {
      [connected, mayFail] = [new Latch(), new Latch()];
      await database.query('TRUNCATE items');
      const path = encodeURIComponent(way);
      const first = ask(`first/${path}`);
      await connected.opened;
      expect(await ask(`next/${path}`)).toBe('stored');
      mayFail.open();
      await first;
      expect(await ask(`next/${path}`)).toBe('stored');
      expect(await storedNames(database)).toEqual(['next', 'next']);
      await expectIdle(running.get(AsyncEngine), database);
    },
  );
});
