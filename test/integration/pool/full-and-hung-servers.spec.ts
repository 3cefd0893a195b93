import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createAsyncEngine, EngineError, text, type AsyncEngine } from 'nest-async-engine/engine';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../../support/process/barrier.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';

const ONE = text('SELECT 1');
const quiet = { log() {}, warn() {}, error() {}, debug() {} };

/** What ends the pool, or its work, in some way. */
const ENDS: readonly (readonly [string, (engine: AsyncEngine) => Promise<unknown>])[] = [
  ['dispose()', (engine) => engine.dispose()],
  ['dispose({ close: false })', (engine) => engine.dispose({ close: false })],
  ['aclose()', (engine) => engine.aclose()],
  ['drain()', (engine) => engine.drain(100)],
];

/** How each caller ended: with an answer, with an error of ours, or otherwise. */
async function outcomesOf(callers: readonly Promise<unknown>[]): Promise<readonly string[]> {
  const settled = await Promise.allSettled(callers);
  return settled.map((outcome) => {
    if (outcome.status === 'fulfilled') return 'answered';
    return outcome.reason instanceof EngineError ? 'refused' : String(outcome.reason);
  });
}

const figures = ({ pool }: AsyncEngine): readonly number[] => [pool.checkedOut(), pool.waiting()];

describe('on a server that accepts and says nothing', () => {
  let server: Server;
  const sockets = new Set<Socket>();

  beforeEach(async () => {
    server = createServer((socket) => void sockets.add(socket.on('error', () => undefined)));
    await once(server.listen(0, '127.0.0.1'), 'listening');
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    await new Promise((closed) => server.close(closed));
  });

  it.each(ENDS)('%s ends, each caller hears a named error, and no attempt is left', async (_name, end) => {
    const { port } = server.address() as AddressInfo;
    const engine = createAsyncEngine(`postgresql://a:b@127.0.0.1:${port}/d`, {
      poolSize: 2,
      maxOverflow: 0,
      poolTimeout: 500,
      connectTimeout: 500,
      logger: quiet,
    });
    const callers = [1, 2, 3, 4].map(async () => await engine.execute(ONE));
    for (const caller of callers) caller.catch(() => undefined);
    await end(engine);
    expect(await outcomesOf(callers)).toEqual(callers.map(() => 'refused'));
    expect(figures(engine)).toEqual([0, 0]);
    await engine.aclose();
  });
});

describe('on a server that takes no more connections', () => {
  const connect = async (): Promise<pg.Client> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return client;
  };
  const role = `full_${randomUUID().slice(0, 8)}`;
  let database: TestDatabase;
  let url: string;
  let others: pg.Client[];

  beforeAll(async () => {
    database = await createDatabase('full');
    await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'x' CONNECTION LIMIT 1`);
    const address = new URL(database.url);
    address.username = role;
    address.password = 'x';
    url = address.href;
  });
  beforeEach(async () => {
    // The server counts the session of the test before until its process has ended.
    others = [await eventually(connect)];
  });
  afterEach(() => Promise.all(others.map((other) => other.end())));
  afterAll(async () => {
    await database.query(`DROP ROLE ${role}`);
    await database.drop();
  });

  it.each(ENDS)('%s ends, and each caller hears a named error', async (_name, end) => {
    const engine = createAsyncEngine(url, { poolTimeout: 500, logger: quiet });
    const callers = [1, 2, 3].map(async () => await engine.execute(ONE));
    for (const caller of callers) caller.catch(() => undefined);
    await end(engine);
    expect(await outcomesOf(callers)).toEqual(callers.map(() => 'refused'));
    expect(figures(engine)).toEqual([0, 0]);
    await engine.aclose();
  });

  it('one connection serves all callers, where the pool could have one', async () => {
    await others.pop()?.end();
    const engine = createAsyncEngine(url, { poolSize: 5, multiplex: false, logger: quiet });
    const callers = Array.from({ length: 20 }, () => engine.scalar(ONE));
    expect(await Promise.all(callers)).toEqual(Array.from({ length: 20 }, () => 1));
    expect(figures(engine)).toEqual([0, 0]);
    await engine.aclose();
  });
});
