import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { tap } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { eventually, Latch } from '../../../test/support/process/barrier.js';
import { OrderFeed } from '../src/order-feed.js';
import { ADAPTERS, openShop, ordersOf, type OpenShop } from './shop.js';

const ONE_TEAPOT = { accountId: 1, lines: [{ productId: 2, quantity: 1 }] };
const MEBIBYTE = 1024 * 1024;

/** Stores `count` orders of one account, each event of which is about `size` characters long. */
async function fill(shop: OpenShop, count: number, size: number): Promise<void> {
  await shop.database.query(`UPDATE accounts SET owner = repeat('x', $1) WHERE id = 3`, [size]);
  await shop.database.query(
    `INSERT INTO orders (account_id, total, status) SELECT 3, n, 'paid' FROM generate_series(1, $1) AS n`,
    [count],
  );
  await shop.database.query('ANALYZE');
}

/** The event stream with nobody reading from the socket behind `response` until it is asked. */
async function openSlowly(shop: OpenShop): Promise<IncomingMessage> {
  const request = get(`${shop.url}/orders/events`, { agent: false });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.pause();
  response.on('error', () => undefined);
  return response;
}

/** Counts the orders that leave the cursor. */
function countPulled(shop: OpenShop): { count: number } {
  const pulled = { count: 0 };
  const feed = shop.app.get(OrderFeed);
  const events = feed.events.bind(feed);
  vi.spyOn(feed, 'events').mockImplementation((response) =>
    events(response).pipe(tap(() => (pulled.count += 1))),
  );
  return pulled;
}

/** Resolves when `read` has given one number thirty times in a row: nothing announces that a sender waits. */
async function standstill(read: () => number): Promise<number> {
  let last = -1;
  let repeated = 0;
  await eventually(() => {
    repeated = read() === last && last > 0 ? repeated + 1 : 0;
    last = read();
    expect(repeated).toBeGreaterThan(30);
  }, 15_000);
  return last;
}

async function transactionsOf(shop: OpenShop): Promise<number> {
  return (await shop.database.sessions()).filter(({ xact_start: start }) => start !== null).length;
}

describe.each(ADAPTERS)('streams on %s', (adapter) => {
  let shop: OpenShop;

  beforeEach(async () => {
    shop = await openShop(adapter);
  });

  afterEach(() => shop.close());

  it('delivers the stored orders, then one that is placed while the reader listens', async () => {
    await shop.post(ONE_TEAPOT);
    const response = await fetch(`${shop.url}/orders/events`);
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const orders = ordersOf(response.body as AsyncIterable<Uint8Array>);
    expect((await orders.next()).value).toMatchObject({ owner: 'Ada', total: 3_200 });

    const { body } = await shop.post(ONE_TEAPOT);
    expect((await orders.next()).value).toEqual(body.order);
    await orders.return(undefined);
  });

  it('does not deliver an order that was rolled back', async () => {
    const response = await fetch(`${shop.url}/orders/events`);
    const orders = ordersOf(response.body as AsyncIterable<Uint8Array>);
    await shop.post({ ...ONE_TEAPOT, failAfterReserving: true });
    const { body } = await shop.post(ONE_TEAPOT);
    expect((await orders.next()).value).toEqual(body.order);
    await orders.return(undefined);
  });

  it('keeps no connection while a reader waits for new orders', async () => {
    await shop.post(ONE_TEAPOT);
    const response = await fetch(`${shop.url}/orders/events`);
    const orders = ordersOf(response.body as AsyncIterable<Uint8Array>);
    await orders.next();
    await eventually(() => expect(shop.engine.pool.checkedOut()).toBe(0), 1_000);
    await orders.return(undefined);
  });

  it('downloads all orders as CSV', async () => {
    await shop.post({ accountId: 1, lines: [1, 2].map((productId) => ({ productId, quantity: 1 })) });
    const response = await fetch(`${shop.url}/orders.csv`);
    const lines = (await response.text()).trim().split(/\r?\n/);

    expect(response.headers.get('content-type')).toMatch(/^text\/csv/);
    expect(response.headers.get('content-disposition')).toContain('orders.csv');
    expect(lines[0]).toBe('id,owner,items,total,status,placedAt');
    expect(lines[1]).toMatch(/^\d+,Ada,"1 × Coffee from North, 1 × Teapot from North",4050,paid,/);
    expect(lines).toHaveLength(2);
    await eventually(() => expect(shop.engine.pool.checkedOut()).toBe(0), 1_000);
  });

  it('frees cursor, transaction and connection within a second after the reader hung up', async () => {
    await fill(shop, 100_000, 600);
    const response = await openSlowly(shop);
    await eventually(async () => expect(await transactionsOf(shop)).toBe(1));
    expect(shop.engine.pool.checkedOut()).toBe(1);

    response.destroy();
    await eventually(async () => expect(await transactionsOf(shop)).toBe(0), 1_000);
    await eventually(() => expect(shop.engine.pool.checkedOut()).toBe(0), 1_000);
  });

  it('waits for a slow reader: what is fetched ahead of him and the memory stay bounded', async () => {
    await fill(shop, 100_000, 600);
    const pulled = countPulled(shop);
    const before = process.memoryUsage().rss;
    const response = await openSlowly(shop);

    const ahead = await standstill(() => pulled.count);
    // About 65 MiB are on offer; what has left the cursor is in the buffers of the two sockets.
    expect(ahead).toBeLessThan(25_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * MEBIBYTE);

    // Reading again, he gets them without a gap, those that had waited in the database too.
    const enough = ahead + 10_000;
    let received = 0;
    for await (const order of ordersOf(response)) {
      received += 1;
      expect(order.id).toBe(received);
      if (received === enough) break;
    }
    expect(received).toBe(enough);
  }, 60_000);

  it.each([
    ['live orders', 1],
    ['stored orders from an open cursor', 100_000],
  ])('are closed with the application, under a reader of %s', async (_, stored) => {
    await fill(shop, stored, 600);
    const response = await openSlowly(shop);
    await eventually(async () => expect(await transactionsOf(shop)).toBe(stored === 1 ? 0 : 1));
    const closed = new Latch();
    response.once('close', () => closed.open());
    response.resume();

    const start = performance.now();
    await shop.app.close();
    expect(performance.now() - start).toBeLessThan(3_000);
    await closed.opened;
    expect(await shop.database.sessions()).toEqual([]);
  });
});
