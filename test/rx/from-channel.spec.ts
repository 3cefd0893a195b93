import { firstValueFrom, type Subscription, take, toArray } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  type AsyncEngine,
  createAsyncEngine,
  OperationalError,
  ResourceClosedError,
  text,
} from 'nest-async-engine/engine';
import { fromChannel, type Notification } from 'nest-async-engine/rx';
import { eventually, Latch } from '../support/process/barrier.js';
import { startFaultyProxy } from '../support/server/faulty-proxy.js';
import { createDatabase, type TestDatabase } from '../support/server/postgres.js';

let database: TestDatabase;
let engine: AsyncEngine;
let subscriptions: Subscription[];

beforeAll(async () => {
  database = await createDatabase('from_channel');
});
afterAll(() => database.drop());
beforeEach(() => {
  engine = createAsyncEngine(database.url, { poolSize: 1, maxOverflow: 0, poolTimeout: 2_000 });
  subscriptions = [];
});
afterEach(async () => {
  for (const subscription of subscriptions) subscription.unsubscribe();
  await engine.aclose();
  await eventually(async () => {
    if ((await database.sessions()).length > 0) throw new Error('a session is left');
  });
});

const notify = (channel: string, payload: string): Promise<unknown> =>
  database.query('SELECT pg_notify($1, $2)', [channel, payload]);

/** A subscription that is listening. */
async function listen(channel: string): Promise<{
  seen: Notification[];
  subscription: Subscription;
  listens: () => number;
  failure: Latch<unknown>;
}> {
  const listening = new Latch();
  const failure = new Latch<unknown>();
  const seen: Notification[] = [];
  let listens = 0;
  const onListen = (): void => {
    listens += 1;
    listening.open();
  };
  const subscription = fromChannel(engine, channel, { onListen }).subscribe({
    next: (notification) => seen.push(notification),
    error: failure.open,
  });
  subscriptions.push(subscription);
  await listening.opened;
  return { seen, subscription, listens: () => listens, failure };
}

describe('fromChannel', () => {
  it('emits what is notified, with its sender', async () => {
    const { seen } = await listen('orders');
    await notify('orders', 'first');
    await notify('orders', '');
    const [pid] = await database.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    await eventually(() => expect(seen).toHaveLength(2));
    expect(seen).toEqual([
      { channel: 'orders', payload: 'first', processId: pid?.pid },
      { channel: 'orders', payload: '', processId: pid?.pid },
    ]);
  });

  it.each(['Orders "new"; DROP TABLE x', 'a.b', 'ORDERS'])(
    'takes the channel %j as it is written',
    async (channel) => {
      const { seen } = await listen(channel);
      await notify(channel, 'x');
      await eventually(() => expect(seen.map((notification) => notification.channel)).toEqual([channel]));
    },
  );

  it('opens nothing before it is subscribed to', async () => {
    fromChannel(engine, 'orders');
    expect(await database.sessions()).toEqual([]);
  });

  it('takes no place in the pool', async () => {
    await listen('orders');
    expect(engine.pool.checkedOut()).toBe(0);
    expect(await engine.scalar(text('SELECT 1'))).toBe(1);
  });

  it('hears what the engine notifies when that is committed', async () => {
    const heard = new Latch();
    const next = firstValueFrom(fromChannel(engine, 'orders', { onListen: () => heard.open() }));
    await heard.opened;
    await engine.transaction(() => engine.execute(text(`SELECT pg_notify('orders', 'committed')`)));
    expect((await next).payload).toBe('committed');
  });

  it('closes its connection on unsubscribing', async () => {
    const { subscription } = await listen('orders');
    subscription.unsubscribe();
    await eventually(async () => expect(await database.sessions()).toEqual([]));
  });

  it('closes its connection when it is unsubscribed while it waits for one', async () => {
    const busy = await engine.connect();
    await busy.execute(text('SELECT 1'));
    const subscription = fromChannel(engine, 'orders').subscribe();
    await eventually(() => expect(engine.pool.waiting()).toBe(1));
    subscription.unsubscribe();
    await busy.close();
    await eventually(() => expect([engine.pool.waiting(), engine.pool.checkedOut()]).toEqual([0, 0]));
  });

  it('closes its connection when it is unsubscribed while LISTEN is on its way', async () => {
    await using proxy = await startFaultyProxy(database.url);
    const slow = createAsyncEngine(proxy.url);
    const sent = proxy.holdWhen(
      ({ type, text: sql }) => type === 'Execute' && sql?.startsWith('LISTEN') === true,
    );
    const subscription = fromChannel(slow, 'orders').subscribe();
    await sent;
    subscription.unsubscribe();
    await eventually(() => expect(proxy.connections).toBe(0));
  });

  it('closes its connection after take(2)', async () => {
    const heard = new Latch();
    const two = firstValueFrom(
      fromChannel(engine, 'orders', { onListen: () => heard.open() }).pipe(take(2), toArray()),
    );
    await heard.opened;
    await database.query(`SELECT pg_notify('orders', n::text) FROM generate_series(1, 3) AS n`);
    expect(await two).toHaveLength(2);
    await eventually(async () => expect(await database.sessions()).toEqual([]));
  });

  it.each(['', 'x'.repeat(64), 'é'.repeat(32), 'a\0b'])('refuses the name %j', (channel) => {
    expect(() => fromChannel(engine, channel)).toThrow(ArgumentError);
  });

  it('fails when the first connection cannot be made', async () => {
    const unreachable = createAsyncEngine('postgresql://nobody@127.0.0.1:1/none');
    await expect(firstValueFrom(fromChannel(unreachable, 'orders'))).rejects.toBeInstanceOf(OperationalError);
  });
});

describe('a lost connection', () => {
  const terminateListener = async (): Promise<void> => {
    await database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`,
    );
  };

  it('is replaced, and the new one listens', async () => {
    const { seen, listens } = await listen('orders');
    await terminateListener();
    await eventually(() => expect(listens()).toBe(2));
    await notify('orders', 'again');
    await eventually(() => expect(seen.map(({ payload }) => payload)).toEqual(['again']));
  });

  it('is replaced again and again', async () => {
    const { listens } = await listen('orders');
    for (let count = 2; count <= 4; count += 1) {
      await terminateListener();
      await eventually(() => expect(listens()).toBe(count));
    }
  });

  it('is replaced when the idle connections of the pool are dead, too', async () => {
    const { listens } = await listen('orders');
    await engine.execute(text('SELECT 1'));
    await database.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );
    await eventually(() => expect(listens()).toBe(2));
  });

  it('leaves one connection, not two', async () => {
    const { listens } = await listen('orders');
    await terminateListener();
    await eventually(() => expect(listens()).toBe(2));
    expect(await database.sessions()).toHaveLength(1);
  });

  it('is an error once the engine is closed', async () => {
    const { failure } = await listen('orders');
    await engine.aclose();
    await terminateListener();
    expect(await failure.opened).toBeInstanceOf(ResourceClosedError);
  });
});

describe('one connection listens for an engine', () => {
  it('whatever the number of subscribers and channels, and each hears its own', async () => {
    const heard: string[] = [];
    const listening: Promise<void>[] = [];
    const subscriptions = Array.from({ length: 40 }, (_, index) => {
      const channel = `topic_${index % 2}`;
      let listens!: () => void;
      listening.push(new Promise((resolve) => (listens = resolve)));
      return fromChannel(engine, channel, { onListen: listens }).subscribe(({ payload }) =>
        heard.push(`${channel} ${payload}`),
      );
    });
    await Promise.all(listening);
    await eventually(async () => expect(await database.sessions()).toHaveLength(1));
    await database.query(`NOTIFY topic_0, 'a'`);
    await database.query(`NOTIFY topic_1, 'b'`);
    await eventually(() =>
      expect(heard.sort()).toEqual([
        ...Array<string>(20).fill('topic_0 a'),
        ...Array<string>(20).fill('topic_1 b'),
      ]),
    );
    for (const subscription of subscriptions) subscription.unsubscribe();
    await eventually(async () => expect(await database.sessions()).toEqual([]));
  });

  it('and its end is heard when the engine is closed', async () => {
    const errors: unknown[] = [];
    await new Promise<void>((onListen) => {
      fromChannel(engine, 'news', { onListen }).subscribe({ error: (error: unknown) => errors.push(error) });
    });
    await engine.aclose();
    expect(errors).toEqual([expect.any(ResourceClosedError)]);
    await eventually(async () => expect(await database.sessions()).toEqual([]));
  });

  it('and none behind a pooler', async () => {
    const pooled = createAsyncEngine(database.url, { pgbouncer: true });
    expect(() => fromChannel(pooled, 'news')).toThrow(/directEngine/);
    await pooled.aclose();
  });
});
