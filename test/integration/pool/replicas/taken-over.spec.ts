import dns from 'node:dns';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import {
  ConnectError,
  createAsyncEngine,
  isTransient,
  sql,
  type AsyncEngine,
  type AsyncEngineOptions,
} from 'nest-async-engine/engine';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../../lib/embedded/embedded-postgres.js';
import { LogLines } from '../../../support/doubles/log-lines.js';
import { failureOf } from '../../../support/items.js';
import { Barrier, eventually, Latch } from '../../../support/process/barrier.js';
import { queryOnce } from '../../../support/server/postgres.js';
import { killServer, promote, reconfigure } from '../../../support/server/standby.js';
import { TestEngines } from '../../../support/test-engines.js';

const SESSIONS = 4;

let primary: EmbeddedPostgres;
let heir: EmbeddedPostgres;
const engines = new TestEngines();

beforeEach(async () => {
  primary = await startEmbeddedPostgres({ replicas: 1, settings: { synchronous_commit: 'on' } });
  [heir] = primary.replicas as [EmbeddedPostgres];
  await queryOnce(primary.url, 'CREATE TABLE orders (id int)');
  await reconfigure(primary, { synchronous_standby_names: 'replica_1' });
  await eventually(() => queryOnce(heir.url, 'SELECT FROM orders'));
}, 60_000);
afterEach(async () => {
  await engines.end();
  await Promise.all([primary.stop(), heir.stop()]);
});

function engineOn(hosts: string, attributes: string, options: AsyncEngineOptions = {}): AsyncEngine {
  const { password } = new URL(primary.url);
  const url = `postgresql://postgres:${password}@${hosts}/postgres?target_session_attrs=${attributes}`;
  return engines.add(
    createAsyncEngine(url, {
      poolSize: SESSIONS,
      maxOverflow: 0,
      logger: new LogLines(),
      ...options,
    }),
  );
}

const hostOf = ({ host, port }: EmbeddedPostgres): string => `${host}:${port}`;
const bothHosts = (): string => `${hostOf(primary)},${hostOf(heir)}`;
const insert = (engine: AsyncEngine, id: number): Promise<unknown> =>
  engine.execute(sql`INSERT INTO orders VALUES (${id})`).then(() => undefined);
const stored = async (): Promise<number[]> =>
  (await queryOnce<{ id: number }>(heir.url, 'SELECT id FROM orders ORDER BY id')).map(({ id }) => id);

/** Whether each session that the pool may open is on a standby. */
async function standbysOf(engine: AsyncEngine): Promise<unknown[]> {
  const together = new Barrier(SESSIONS);
  const asked = Array.from({ length: SESSIONS }, () =>
    engine.connect(async (connection) => {
      await together.arrive();
      return await connection.scalar(sql`SELECT pg_is_in_recovery()`);
    }),
  );
  return await Promise.all(asked);
}

it.each(['primary', 'read-write', 'any'])(
  'transactions that are open when the primary dies are run again on the standby that takes over, and stored once: %s',
  async (attributes) => {
    const engine = engineOn(bothHosts(), attributes);
    const begun = new Barrier(SESSIONS + 1);
    const takenOver = new Latch();
    const works = Array.from({ length: SESSIONS }, (_, id) =>
      engine.transaction(
        async () => {
          await insert(engine, id);
          await begun.arrive();
          await takenOver.opened;
          await insert(engine, id + 100);
        },
        { retry: { retries: 20, retryOn: isTransient } },
      ),
    );
    await begun.arrive();
    await killServer(primary);
    await promote(heir);
    takenOver.open();
    await Promise.all(works);
    expect(await stored()).toEqual([0, 1, 2, 3, 100, 101, 102, 103]);
    expect(await standbysOf(engine)).toEqual(Array.from({ length: SESSIONS }, () => false));
  },
  60_000,
);

it('transactions that are open when the primary dies fail without retry, and store nothing', async () => {
  const engine = engineOn(bothHosts(), 'primary');
  const begun = new Barrier(2);
  const takenOver = new Latch();
  const work = failureOf(
    engine.transaction(async () => {
      await insert(engine, 1);
      await begun.arrive();
      await takenOver.opened;
      await insert(engine, 2);
    }),
  );
  await begun.arrive();
  await killServer(primary);
  await promote(heir);
  takenOver.open();
  const failure = await work;
  expect(isTransient(failure)).toBe(true);
  expect(await stored()).toEqual([]);
  await insert(engine, 3);
  expect(await stored()).toEqual([3]);
}, 60_000);

it('hosts that are all standbys are each named, and the one that is promoted takes writes at once', async () => {
  const other = await primary.addReplica();
  try {
    await killServer(primary);
    const engine = engineOn(`${hostOf(heir)},${hostOf(other)}`, 'primary', { poolTimeout: 2_000 });
    const failure = await failureOf(insert(engine, 1));
    expect(failure).toBeInstanceOf(ConnectError);
    for (const host of [heir, other].map(hostOf)) expect(String(failure)).toContain(host);
    await promote(heir);
    await insert(engine, 2);
    expect(await stored()).toEqual([2]);
    expect(await standbysOf(engine)).toEqual(Array.from({ length: SESSIONS }, () => false));
  } finally {
    await other.stop();
  }
}, 60_000);

it('sessions that look for a standby leave one that was promoted, with their recycling', async () => {
  const other = await primary.addReplica();
  try {
    const engine = engineOn(`${hostOf(heir)},${hostOf(other)}`, 'standby', { poolRecycle: 200 });
    expect(await standbysOf(engine)).not.toContain(false);
    await killServer(primary);
    await promote(heir);
    await eventually(async () => expect(await standbysOf(engine)).not.toContain(false), 30_000);
    const servers = await engine.scalar(sql`SELECT current_setting('port')::int`);
    expect(servers).toBe(other.port);
  } finally {
    await other.stop();
  }
}, 60_000);

/** Passes on all that comes to `address`; on any free port where `port` is 0. */
async function forward(address: string, port: number, target: EmbeddedPostgres): Promise<Server> {
  const server = createServer((client) => {
    const to = connect(target.port, target.host);
    client.pipe(to).pipe(client);
    for (const [one, other] of [
      [client, to],
      [to, client],
    ] as const)
      one.on('error', () => other.destroy()).on('close', () => other.destroy());
  });
  server.listen(port, address);
  await once(server, 'listening');
  return server;
}

it('a name that moves to another address is followed, also while the former server still answers', async () => {
  const former = await forward('127.0.0.2', 0, primary);
  const { port } = former.address() as AddressInfo;
  const latter = await forward('127.0.0.3', port, heir);
  let address = '127.0.0.2';
  const lookup = dns.lookup;
  const spy = vi.spyOn(dns, 'lookup').mockImplementation(((name: string, options: object, done: Function) => {
    if (name !== 'db.shop.example') return (lookup as Function)(name, options, done);
    if ('all' in options && options.all === true) return done(null, [{ address, family: 4 }]);
    return done(null, address, 4);
  }) as never);
  try {
    const engine = engineOn(`db.shop.example:${port}`, 'any', { poolRecycle: 200 });
    expect(await standbysOf(engine)).toEqual(Array.from({ length: SESSIONS }, () => false));
    await insert(engine, 1);
    // Demoted: it takes sessions and refuses writes.
    await reconfigure(primary, { default_transaction_read_only: 'on', synchronous_standby_names: '' });
    await promote(heir);
    address = '127.0.0.3';
    const results = await Promise.allSettled(Array.from({ length: 40 }, (_, id) => insert(engine, id + 2)));
    const refused = results.filter(({ status }) => status === 'rejected');
    expect(refused.length).toBeLessThanOrEqual(SESSIONS);
    expect(await stored()).toHaveLength(1 + results.length - refused.length);
    await eventually(async () => {
      const ports = await engine.scalar(sql`SELECT current_setting('port')::int`);
      expect(ports).toBe(heir.port);
    });
  } finally {
    spy.mockRestore();
    former.close();
    latter.close();
  }
}, 60_000);
