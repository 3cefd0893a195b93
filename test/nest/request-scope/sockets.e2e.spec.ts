import { Inject, Injectable, UseFilters } from '@nestjs/common';
import type { INestApplication } from '@nestjs/common';
import { ApplicationConfig } from '@nestjs/core';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { WsAdapter } from '@nestjs/platform-ws';
import { Test } from '@nestjs/testing';
import {
  ConnectedSocket,
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
  WsException,
} from '@nestjs/websockets';
import type { OnGatewayConnection, OnGatewayDisconnect } from '@nestjs/websockets';
import { Observable, interval, map } from 'rxjs';
import { io } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import {
  AsyncConnection,
  AsyncEngine,
  DatabaseExceptionFilter,
  DatabaseModule,
  Transactional,
  getScopedConnectionToken,
  sql,
} from 'nest-async-engine';
import { isNest11 } from '../../support/nest/nest-version.js';
import { Barrier, Latch, eventually } from '../../support/process/barrier.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;
const XID = sql`SELECT pg_current_xact_id()::text`;

/** What the gateway tells of itself, and where it waits. */
@Injectable()
class Stage {
  instances = new Set<object>();
  atConnection = new Latch<unknown>();
  pair = new Barrier(2);
  disconnected = new Latch();
  entered = new Latch();
  mayGoOn = new Latch();
  ended = new Latch<unknown>();
}

@Injectable()
class Ids {
  constructor(private readonly engine: AsyncEngine) {}

  @Transactional()
  async inNested(): Promise<string> {
    return String(await this.engine.scalar(XID));
  }
}

@WebSocketGateway()
class Gateway implements OnGatewayConnection, OnGatewayDisconnect {
  constructor(
    @Inject(isNest11 ? getScopedConnectionToken() : AsyncConnection)
    private readonly connection: AsyncConnection,
    private readonly ids: Ids,
    private readonly stage: Stage,
  ) {}

  async handleConnection(): Promise<void> {
    const used = this.connection.execute(insert('at the connection of the socket'));
    this.stage.atConnection.open(
      await used.then(String, (error: unknown) => (error as { code: unknown }).code),
    );
  }

  handleDisconnect(): void {
    this.stage.disconnected.open();
  }

  @SubscribeMessage('unit')
  async unit(@MessageBody() name: string): Promise<object> {
    this.stage.instances.add(this);
    const nested = await this.ids.inNested();
    await this.connection.execute(insert(name));
    return { event: 'unit', data: [nested, await this.connection.scalar(XID)] };
  }

  @SubscribeMessage('pair')
  async pair(@MessageBody() name: string): Promise<object> {
    await this.connection.execute(insert(name));
    await this.stage.pair.arrive();
    if (name === 'bad') throw new WsException('on purpose');
    return { event: 'pair', data: await this.connection.scalar(XID) };
  }

  @SubscribeMessage('hold')
  async hold(@ConnectedSocket() _client: unknown): Promise<void> {
    await this.connection.execute(insert('held'));
    this.stage.entered.open();
    await this.stage.mayGoOn.opened;
    const last = this.connection.execute(insert('after the client has gone'));
    this.stage.ended.open(await last.then(() => 'stored', String));
  }

  @UseFilters(DatabaseExceptionFilter)
  @SubscribeMessage('taken')
  async taken(): Promise<void> {
    await this.connection.execute(sql`INSERT INTO people VALUES ('ann')`);
  }

  @SubscribeMessage('ticks')
  ticks(): Observable<object> {
    return interval(1).pipe(map((data) => ({ event: 'ticks', data })));
  }
}

/** One client, over either library. */
interface Client {
  ask(event: string, data?: unknown): Promise<unknown>;
  /** What comes next under this name. */
  hear(event: string): Promise<unknown>;
  send(event: string, data?: unknown): void;
  close(): void;
}

async function connectWs(url: string): Promise<Client> {
  const socket = new WebSocket(url.replace('http', 'ws'));
  await new Promise((resolve) => socket.once('open', resolve));
  const send = (event: string, data: unknown = {}): void => socket.send(JSON.stringify({ event, data }));
  const hear = (event: string): Promise<unknown> =>
    new Promise((resolve) => {
      const listen = (message: Buffer): void => {
        const answer = JSON.parse(message.toString()) as { event: string; data: unknown };
        if (answer.event !== event) return;
        socket.off('message', listen);
        resolve(answer.data);
      };
      socket.on('message', listen);
    });
  const ask = (event: string, data?: unknown): Promise<unknown> => {
    const answer = hear(event);
    send(event, data);
    return answer;
  };
  return { send, ask, hear, close: () => socket.terminate() };
}

async function connectIo(url: string): Promise<Client> {
  const socket = io(url, { transports: ['websocket'], forceNew: true, reconnection: false });
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  const hear = (event: string): Promise<unknown> => new Promise((resolve) => socket.once(event, resolve));
  const ask = (event: string, data?: unknown): Promise<unknown> => {
    const answer = hear(event);
    socket.emit(event, data);
    return answer;
  };
  const send = (event: string, data?: unknown): void => void socket.emit(event, data);
  return { ask, hear, send, close: () => void socket.disconnect() };
}

function withoutInterceptors(app: INestApplication): WsAdapter {
  app.get(ApplicationConfig).getGlobalInterceptors().length = 0;
  return new WsAdapter(app);
}

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('sockets');
  await database.query('CREATE TABLE items (name text)');
  await database.query("CREATE TABLE people AS SELECT 'ann' AS name; CREATE UNIQUE INDEX ON people (name)");
});
beforeEach(() => database.query('TRUNCATE items'));
afterAll(() => database.drop());

describe.each([
  ['ws', (app: INestApplication) => new WsAdapter(app), connectWs],
  ['socket.io', (app: INestApplication) => new IoAdapter(app), connectIo],
  ['ws without global interceptors, as in NestJS 11', withoutInterceptors, connectWs],
])('a gateway over %s that injects the connection', (_library, adapterOf, connect) => {
  let app: INestApplication;
  let url: string;
  let client: Client;
  let stage: Stage;

  beforeAll(async () => {
    const testing = await Test.createTestingModule({
      imports: [DatabaseModule.forRoot({ url: database.url, poolSize: 3, maxOverflow: 0 })],
      providers: [Gateway, Ids, Stage],
    }).compile();
    app = testing.createNestApplication({ logger: false });
    app.useWebSocketAdapter(adapterOf(app));
    await app.listen(0, '127.0.0.1');
    const { port } = app.getHttpServer().address() as { port: number };
    url = `http://127.0.0.1:${port}`;
    stage = app.get(Stage);
  });
  beforeEach(async () => {
    client = await connect(url);
  });
  afterEach(async () => {
    client.close();
    await expectIdle(app.get(AsyncEngine), database);
  });
  afterAll(() => app.close());

  it('has a transaction per message, not per socket, of the handle and of every service', async () => {
    const answers = [
      await client.ask('unit', 'a'),
      await client.ask('unit', 'b'),
      await client.ask('unit', 'c'),
    ];
    const pairs = answers as [string, string][];
    expect(pairs.every(([nested, own]) => nested === own)).toBe(true);
    expect(new Set(pairs.flat()).size).toBe(3);
    expect(await storedNames(database)).toEqual(['a', 'b', 'c']);
  });

  it('keeps two messages that run at once on one socket apart, and undoes only the one that fails', async () => {
    client.send('pair', 'bad');
    await client.ask('pair', 'good');
    expect(await storedNames(database)).toEqual(['good']);
  });

  it('refuses the connection where there is no message', async () => {
    expect(await stage.atConnection.opened).toBe('NO_ACTIVE_SCOPE');
  });

  it('gives what a stream emits when it is there', async () => {
    expect(await client.ask('ticks')).toBe(0);
  });

  it('tells the client of an error that DatabaseExceptionFilter answers', async () => {
    const heard = client.hear('exception');
    client.send('taken');
    expect(await heard).toEqual({
      status: 'error',
      statusCode: 409,
      message: 'Conflict',
      code: 'UNIQUE_VIOLATION',
    });
  });

  it('does not pull the connection from under a handler whose socket is closed', async () => {
    client.send('hold');
    await stage.entered.opened;
    stage.disconnected = new Latch();
    client.close();
    await stage.disconnected.opened;
    stage.mayGoOn.open();
    expect(await stage.ended.opened).toBe('stored');
    await eventually(async () =>
      expect(await storedNames(database)).toEqual(['after the client has gone', 'held']),
    );
  });
});
