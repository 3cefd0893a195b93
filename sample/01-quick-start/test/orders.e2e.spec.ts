import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../../../test/support/process/barrier.js';
import { ADAPTERS, openShop, type OpenShop } from './shop.js';

const COFFEE = 1;
const TEAPOT = 2;
const BISCUITS = 3;

/** Everything that an order changes. */
async function books({ database }: OpenShop): Promise<unknown> {
  return {
    accounts: await database.query('SELECT id, balance FROM accounts ORDER BY id'),
    stock: await database.query('SELECT * FROM stock ORDER BY product_id, supplier_id'),
    orders: await database.query('SELECT id, total, status FROM orders ORDER BY id'),
    lines: await database.query('SELECT * FROM order_lines ORDER BY order_id, product_id'),
  };
}

async function stockOf(shop: OpenShop, product: number): Promise<number[]> {
  const rows = await shop.database.query<{ quantity: number }>(
    'SELECT quantity FROM stock WHERE product_id = $1 ORDER BY supplier_id',
    [product],
  );
  return rows.map(({ quantity }) => quantity);
}

describe.each(ADAPTERS)('orders on %s', (adapter) => {
  let shop: OpenShop;

  beforeEach(async () => {
    shop = await openShop(adapter);
  });

  afterEach(() => shop.close());

  it('keeps one reservation when another one beside it failed', async () => {
    const { status, body } = await shop.post({ accountId: 1, lines: [{ productId: COFFEE, quantity: 5 }] });

    expect(status).toBe(201);
    expect(body.order?.items).toBe('5 × Coffee from South');
    expect(await stockOf(shop, COFFEE)).toEqual([3, 95]);
    expect(await shop.database.query('SELECT balance FROM accounts WHERE id = 1')).toEqual([
      { balance: 50_000 - 5 * 850 },
    ]);
  });

  it('undoes what a supplier had written before he failed', async () => {
    const lines = [
      { productId: TEAPOT, quantity: 1 },
      { productId: BISCUITS, quantity: 2 },
    ];
    const { body } = await shop.post({ accountId: 1, lines, supplierDown: true });

    expect(body.order?.items).toBe('1 × Teapot from South, 2 × Biscuits from South');
    expect(await stockOf(shop, TEAPOT)).toEqual([5, 4]);
  });

  it('tells which steps were kept, which were undone, and by what', async () => {
    const { body } = await shop.post({ accountId: 1, lines: [{ productId: COFFEE, quantity: 5 }] });

    expect(body.story).toEqual([
      { text: expect.stringMatching(/^open order/), savepoint: false, end: 'kept', by: 'COMMIT' },
      {
        text: 'reserve 5 × Coffee at North',
        savepoint: true,
        end: 'undone',
        by: 'ROLLBACK TO SAVEPOINT',
        because: 'North has not enough',
      },
      { text: 'reserve 5 × Coffee at South', savepoint: true, end: 'kept', by: 'COMMIT' },
      { text: 'charge 42.50 € to Ada', savepoint: false, end: 'kept', by: 'COMMIT' },
    ]);
  });

  it('keeps nothing when the order fails after its reservations', async () => {
    const before = await books(shop);
    const order = { accountId: 1, lines: [{ productId: COFFEE, quantity: 5 }], failAfterReserving: true };
    const { status, body } = await shop.post(order);

    expect(status).toBe(502);
    expect(body.message).toMatch(/^Something broke/);
    expect(body.story?.map(({ end, by }) => [end, by])).toEqual([
      ['undone', 'ROLLBACK'],
      ['undone', 'ROLLBACK TO SAVEPOINT'],
      ['undone', 'ROLLBACK'],
      ['undone', 'ROLLBACK'],
    ]);
    expect(await books(shop)).toEqual(before);
  });

  it('keeps nothing when the account has not enough money', async () => {
    const before = await books(shop);
    const { status, body } = await shop.post({ accountId: 3, lines: [{ productId: TEAPOT, quantity: 1 }] });

    expect(status).toBe(409);
    expect(body.message).toBe('Grace has not enough money for 32.00 €.');
    expect(await books(shop)).toEqual(before);
  });

  it('keeps nothing of an order whose last line no supplier can deliver', async () => {
    const before = await books(shop);
    const lines = [
      { productId: COFFEE, quantity: 1 },
      { productId: TEAPOT, quantity: 6 },
    ];
    const { status, body } = await shop.post({ accountId: 1, lines });

    expect(status).toBe(409);
    expect(body.message).toBe('No supplier has 6 × Teapot.');
    expect(await books(shop)).toEqual(before);
  });

  it('shows the page, the accounts, the products and the last orders', async () => {
    await shop.post({ accountId: 2, lines: [{ productId: TEAPOT, quantity: 1 }] });
    const page = await fetch(shop.url);
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(await page.text()).toContain('<h1>The shop</h1>');

    const get = async (path: string): Promise<unknown> => (await fetch(`${shop.url}${path}`)).json();
    expect(await get('/accounts')).toContainEqual({ id: 2, owner: 'Edgar', balance: 12_000 - 3_200 });
    expect(await get('/products')).toContainEqual({
      id: TEAPOT,
      name: 'Teapot',
      price: 3_200,
      stock: [
        { supplier: 'North', quantity: 4 },
        { supplier: 'South', quantity: 5 },
      ],
    });
    expect(await get('/orders')).toMatchObject([{ owner: 'Edgar', total: 3_200, status: 'paid' }]);
  });
});

describe.each(ADAPTERS)('refused orders on %s', (adapter) => {
  let shop: OpenShop;

  beforeAll(async () => {
    shop = await openShop(adapter);
  });

  afterAll(() => shop.close());

  it.each([
    ['an account that is not there', { accountId: 99, lines: [{ productId: 1, quantity: 1 }] }],
    ['a product that is not there', { accountId: 1, lines: [{ productId: 99, quantity: 1 }] }],
  ])('answers 404 for %s', async (_, order) => {
    expect((await shop.post(order)).status).toBe(404);
  });

  it.each([
    ['no JSON', '{', /JSON/i],
    ['a list', [], /^The body must be a JSON object/],
    ['no account', { lines: [{ productId: 1, quantity: 1 }] }, /^accountId must be/],
    ['no lines', { accountId: 1, lines: [] }, /^lines must be a list/],
    ['a line that is no object', { accountId: 1, lines: [1] }, /^lines\[0\] must be a JSON object/],
    ['half a teapot', { accountId: 1, lines: [{ productId: 2, quantity: 0.5 }] }, /^lines\[0\]\.quantity/],
    ['a negative quantity', { accountId: 1, lines: [{ productId: 2, quantity: -1 }] }, /\.quantity must be/],
    ['a text', { accountId: '1; DROP TABLE orders', lines: [] }, /^accountId must be/],
    ['an id that no integer holds', { accountId: 2 ** 31, lines: [] }, /^accountId must be/],
    [
      'a product twice',
      { accountId: 1, lines: [1, 1].map((productId) => ({ productId, quantity: 1 })) },
      /product 1 is in lines twice/,
    ],
    [
      'a flag that is a word',
      { accountId: 1, lines: [{ productId: 1, quantity: 1 }], supplierDown: 'yes' },
      /^supplierDown must be true or false/,
    ],
  ])('answers 400 for a body with %s', async (_, order, message) => {
    const { status, body } = await shop.post(order);
    expect(status).toBe(400);
    expect(body.message).toMatch(message);
  });
});

describe('200 orders at once on five connections', () => {
  it('end with money and stock that add up, and with an idle pool', async () => {
    const shop = await openShop('Express', { poolSize: 5, maxOverflow: 0 });
    try {
      const [before] = await totals(shop);
      const answers = await Promise.all(
        Array.from({ length: 200 }, (_, index) =>
          shop.post({
            accountId: 1 + (index % 2),
            // The two directions in which orders could wait for each other in a circle.
            lines: (index % 3 === 0 ? [BISCUITS, COFFEE] : [COFFEE, BISCUITS]).map((productId) => ({
              productId,
              quantity: 1 + (index % 2),
            })),
            supplierDown: index % 5 === 0,
            failAfterReserving: index % 7 === 0,
          }),
        ),
      );
      const statuses = new Set(answers.map(({ status }) => status));
      const placed = answers.filter(({ status }) => status === 201);
      const [after] = await totals(shop);

      expect(statuses).toEqual(new Set([201, 409, 502]));
      expect(Number(after?.orders)).toBe(placed.length);
      expect(Number(after?.paid)).toBe(Number(before?.money) - Number(after?.money));
      expect(Number(after?.delivered)).toBe(Number(before?.pieces) - Number(after?.pieces));
      await eventually(() => expect(shop.engine.pool.checkedOut()).toBe(0), 1_000);
      expect((await shop.database.sessions()).length).toBeLessThanOrEqual(5);
    } finally {
      await shop.close();
    }
  });
});

function totals(shop: OpenShop): Promise<Record<string, string>[]> {
  return shop.database.query<Record<string, string>>(
    `SELECT (SELECT sum(balance) FROM accounts) AS money, (SELECT sum(quantity) FROM stock) AS pieces,
       (SELECT coalesce(sum(total), 0) FROM orders) AS paid, (SELECT count(*) FROM orders) AS orders,
       (SELECT coalesce(sum(quantity), 0) FROM order_lines) AS delivered`,
  );
}
