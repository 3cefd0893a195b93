import {
  createAsyncEngine,
  ReadOnlyTransactionError,
  sql,
  text,
  type AsyncEngine,
} from 'nest-async-engine/engine';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../../lib/embedded/embedded-postgres.js';
import { LogLines } from '../../../support/doubles/log-lines.js';
import { Barrier, eventually } from '../../../support/process/barrier.js';
import { queryOnce } from '../../../support/server/postgres.js';
import { reconfigure } from '../../../support/server/standby.js';

const SESSIONS = 5;
const WRITES = 100;

let former: EmbeddedPostgres;
let heir: EmbeddedPostgres;

beforeAll(async () => {
  [former, heir] = await Promise.all([startEmbeddedPostgres(), startEmbeddedPostgres()]);
  for (const { url } of [former, heir]) {
    await queryOnce(url, `CREATE ROLE shop LOGIN SUPERUSER PASSWORD 'shop'`);
    await queryOnce(url, 'CREATE TABLE orders (id int)');
  }
}, 60_000);
beforeEach(async () => {
  for (const server of [former, heir]) await fence('off', server);
  for (const { url } of [former, heir]) await queryOnce(url, 'TRUNCATE orders');
});
afterAll(() => Promise.all([former.stop(), heir.stop()]));

/** Fenced: it goes on to answer, and refuses each write. */
async function fence(value: 'on' | 'off', server = former): Promise<void> {
  await reconfigure(server, { default_transaction_read_only: value });
  await eventually(async () => {
    const shown = await queryOnce(server.url, 'SHOW default_transaction_read_only');
    expect(shown).toEqual([{ default_transaction_read_only: value }]);
  });
}

const insert = text('INSERT INTO orders VALUES (:id)');
const WAYS: [string, (engine: AsyncEngine, id: number) => Promise<unknown>][] = [
  ['statements', (engine, id) => engine.execute(insert, { id })],
  ['transactions', (engine, id) => engine.transaction(() => engine.execute(insert, { id }))],
  [
    'nested transactions',
    (engine, id) => engine.transaction(() => engine.transaction(() => engine.execute(insert, { id }))),
  ],
  ['begin()', (engine, id) => engine.begin((connection) => connection.execute(insert, { id }))],
  ['lists', (engine, id) => engine.transaction(() => engine.execute(insert, [{ id }]))],
];

it.each([
  ...WAYS.map(([name, write]) => ({ name, write, attributes: 'primary' })),
  ...WAYS.slice(0, 1).flatMap(([name, write]) =>
    ['read-write', 'any'].map((attributes) => ({ name, write, attributes })),
  ),
])(
  'a fenced primary costs one error for each of its sessions at most: $name, target_session_attrs=$attributes',
  async ({ attributes, write }) => {
    const hosts = [former, heir].map(({ host, port }) => `${host}:${port}`).join(',');
    await using engine = createAsyncEngine(
      `postgresql://shop:shop@${hosts}/postgres?target_session_attrs=${attributes}`,
      { poolSize: SESSIONS, maxOverflow: 0, logger: new LogLines() },
    );
    const together = new Barrier(SESSIONS);
    await Promise.all(Array.from({ length: SESSIONS }, () => engine.connect(() => together.arrive())));
    await fence('on');
    const results = await Promise.allSettled(Array.from({ length: WRITES }, (_, id) => write(engine, id)));
    const refused = results.flatMap((result) =>
      result.status === 'rejected' ? [result.reason as unknown] : [],
    );
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThanOrEqual(SESSIONS);
    for (const error of refused) expect(error).toBeInstanceOf(ReadOnlyTransactionError);
    expect(await queryOnce(former.url, 'SELECT FROM orders')).toEqual([]);
    const stored = await queryOnce<{ id: number }>(heir.url, 'SELECT id FROM orders ORDER BY id');
    const acknowledged = results.flatMap(({ status }, id) => (status === 'fulfilled' ? [id] : []));
    expect(stored.map(({ id }) => id)).toEqual(acknowledged);
    expect(engine.pool.checkedOut()).toBe(0);
    expect(await engine.scalar(sql`SELECT current_setting('port')::int`)).toBe(heir.port);
  },
);

it.each(['primary', 'read-write', 'any'])(
  'a fenced primary that comes back is gone to again when the other one is fenced: target_session_attrs=%s',
  async (attributes) => {
    const hosts = [former, heir].map(({ host, port }) => `${host}:${port}`).join(',');
    await using engine = createAsyncEngine(
      `postgresql://shop:shop@${hosts}/postgres?target_session_attrs=${attributes}`,
      { poolSize: SESSIONS, maxOverflow: 0, logger: new LogLines() },
    );
    let id = 0;
    for (const [fenced, open] of [
      [former, heir],
      [heir, former],
      [former, heir],
    ] as const) {
      const together = new Barrier(SESSIONS);
      await Promise.all(Array.from({ length: SESSIONS }, () => engine.connect(() => together.arrive())));
      await fence('off', open);
      await fence('on', fenced);
      const writes = Array.from({ length: WRITES }, () => engine.execute(insert, { id: (id += 1) }));
      const results = await Promise.allSettled(writes);
      const refused = results.filter(({ status }) => status === 'rejected');
      expect(refused.length).toBeLessThanOrEqual(SESSIONS);
      const again = await Promise.allSettled(
        Array.from({ length: WRITES }, () => engine.execute(insert, { id: (id += 1) })),
      );
      expect(again.filter(({ status }) => status === 'rejected')).toEqual([]);
      expect(await engine.scalar(sql`SELECT current_setting('port')::int`)).toBe(open.port);
      await queryOnce(open.url, 'TRUNCATE orders');
    }
    expect(engine.pool.checkedOut()).toBe(0);
  },
);
