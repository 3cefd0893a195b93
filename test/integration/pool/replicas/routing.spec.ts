import {
  createAsyncEngine,
  sql,
  text,
  type AsyncEngine,
  type AsyncEngineOptions,
} from 'nest-async-engine/engine';
import {
  ArgumentError,
  IllegalStateError,
  NoReplicaError,
  ReadOnlyTransactionError,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../../lib/embedded/embedded-postgres.js';
import { freePort } from '../../../../lib/embedded/free-port.js';
import { failureOf } from '../../../support/items.js';
import { LogLines } from '../../../support/doubles/log-lines.js';
import { eventually } from '../../../support/process/barrier.js';
import { queryOnce } from '../../../support/server/postgres.js';
import { freezeServer, killServer, pauseReplay, promote } from '../../../support/server/standby.js';

const WHERE = text<{ standby: boolean }>('SELECT pg_is_in_recovery() AS standby');

let primary: EmbeddedPostgres;
const engines: AsyncEngine[] = [];

function engineWith(replicas: AsyncEngineOptions['replicas'], options: AsyncEngineOptions = {}): AsyncEngine {
  const engine = createAsyncEngine(primary.url, { logger: new LogLines(), ...options, replicas });
  engines.push(engine);
  return engine;
}

/** `readYourWrites: false`: these tests are about the way, not about what is found there. */
function engineOfBoth(options: AsyncEngineOptions = {}): AsyncEngine {
  return engineWith({ url: primary.replicas.map(({ url }) => url), readYourWrites: false }, options);
}

/** Where the statement of `work` ran. */
const serverOf = async (work: Promise<boolean | undefined>): Promise<string> =>
  (await work) === true ? 'replica' : 'primary';

beforeAll(async () => {
  primary = await startEmbeddedPostgres({ replicas: 2 });
  await queryOnce(primary.url, 'CREATE TABLE notes (id int PRIMARY KEY)');
});

afterEach(async () => {
  for (const engine of engines.splice(0)) {
    // An examination may be under way.
    await eventually(() => {
      const { pool, replicas } = engine;
      expect([pool.checkedOut(), ...replicas.status().map(({ checkedOut }) => checkedOut)]).not.toContain(1);
    });
    await engine.aclose();
  }
});
afterAll(() => primary.stop());

describe.each(['transaction', 'session'] as const)('exclusive work of scope %s', (scope) => {
  it('has its lock on the primary, also where the engine says readOnly: true', async () => {
    const engine = engineOfBoth().executionOptions({ readOnly: true });
    const locks = () => queryOnce(primary.url, `SELECT pid FROM pg_locks WHERE locktype = 'advisory'`);
    const { value } = await engine.exclusive('job', locks, { scope });
    expect(value).toHaveLength(1);
  });
});

it('exclusive work is refused inside a transaction on a replica, where no other server would see its lock', async () => {
  const engine = engineOfBoth();
  const inside = engine.transaction(
    async () => {
      await engine.scalar(WHERE);
      await engine.exclusive('job', () => 1);
    },
    { readOnly: true },
  );
  expect(await failureOf(inside)).toBeInstanceOf(IllegalStateError);
});

describe('a statement outside of transactions', () => {
  it('goes to a replica where it says readOnly: true', async () => {
    const engine = engineOfBoth();
    expect(await serverOf(engine.execute(WHERE, undefined, { readOnly: true }).scalar())).toBe('replica');
    expect(await serverOf(engine.scalar(WHERE, undefined, { readOnly: true }))).toBe('replica');
  });

  it('goes to the primary where nothing says so', async () => {
    const engine = engineOfBoth();
    expect(await serverOf(engine.execute(WHERE).scalar())).toBe('primary');
    expect(await serverOf(engine.execute(WHERE, undefined, { readOnly: false }).scalar())).toBe('primary');
  });

  it('goes to a replica where the engine says readOnly: true, unless it says otherwise itself', async () => {
    const engine = engineOfBoth().executionOptions({ readOnly: true });
    expect(await serverOf(engine.execute(WHERE).scalar())).toBe('replica');
    expect(await serverOf(engine.execute(WHERE, undefined, { readOnly: false }).scalar())).toBe('primary');
  });

  it('goes to a replica where its scope says readOnly: true', async () => {
    const engine = engineOfBoth();
    const inScope = (connection: object): Promise<string> =>
      engine.scope(() => serverOf(engine.execute(WHERE).scalar()), { connection });
    expect(await inScope({ readOnly: true })).toBe('replica');
    expect(await inScope(() => ({ readOnly: true }))).toBe('replica');
    expect(await inScope(async () => ({ readOnly: true }))).toBe('replica');
    expect(await inScope({ readOnly: false })).toBe('primary');
  });

  it('is streamed from a replica where it says readOnly: true, and only then', async () => {
    const engine = engineOfBoth();
    expect(await engine.stream(WHERE, undefined, { readOnly: true }).scalar()).toBe(true);
    expect(await engine.stream(WHERE).scalar()).toBe(false);
  });

  it('may not write on a replica', async () => {
    const engine = engineOfBoth();
    const failure = await failureOf(
      engine.execute(sql`INSERT INTO notes VALUES (1)`, undefined, { readOnly: true }),
    );
    expect(failure).toBeInstanceOf(ReadOnlyTransactionError);
    expect(failure).toMatchObject({ sqlState: '25006', connectionInvalidated: false });
    expect((failure as ReadOnlyTransactionError).hint).toContain('readOnly');
  });

  it('may not write on the primary either that stands in for a replica, nor without replicas', async () => {
    const port = await freePort();
    const standIn = engineWith({ url: `postgresql://127.0.0.1:${port}` });
    const alone = createAsyncEngine(primary.url);
    engines.push(alone);
    for (const engine of [standIn, alone]) {
      await expect(
        engine.execute(sql`INSERT INTO notes VALUES (1)`, undefined, { readOnly: true }),
      ).rejects.toBeInstanceOf(ReadOnlyTransactionError);
      await engine.execute(sql`INSERT INTO notes VALUES (1)`);
      await engine.execute(sql`DELETE FROM notes`);
    }
  });
});

describe('a root transaction', () => {
  const inTransaction = (engine: AsyncEngine, options: object): Promise<string> =>
    engine.transaction(() => serverOf(engine.execute(WHERE).scalar()), options);

  it('goes to a replica with readOnly: true', async () => {
    const engine = engineOfBoth();
    expect(await inTransaction(engine, { readOnly: true })).toBe('replica');
    expect(await engine.begin((connection) => serverOf(connection.scalar(WHERE)), { readOnly: true })).toBe(
      'replica',
    );
  });

  it.each([
    ['says nothing', {}],
    ['writes', { readOnly: false }],
    ['asks for the primary', { readOnly: true, server: 'primary' }],
    ['is SERIALIZABLE, which a standby refuses', { readOnly: true, isolationLevel: 'SERIALIZABLE' }],
  ])('goes to the primary where it %s', async (_, options) => {
    expect(await inTransaction(engineOfBoth(), options)).toBe('primary');
  });

  it('keeps all that is nested in it where it is', async () => {
    const engine = engineOfBoth();
    const servers = await engine.transaction(
      async () => [
        await serverOf(engine.execute(WHERE).scalar()),
        await inTransaction(engine, {}),
        await serverOf(engine.execute(WHERE, undefined, { readOnly: true }).scalar()),
        await inTransaction(engine, { propagation: 'requires-new' }),
      ],
      { readOnly: true },
    );
    expect(servers).toEqual(['replica', 'replica', 'replica', 'primary']);
  });

  it('of a read-only connection goes to a replica, and one that writes to the primary', async () => {
    const engine = engineOfBoth().executionOptions({ readOnly: true });
    await using connection = await engine.connect();
    expect(await serverOf(connection.scalar(WHERE))).toBe('replica');
    await connection.commit();
    const inside = await connection.begin(() => serverOf(connection.scalar(WHERE)), { readOnly: false });
    expect(inside).toBe('primary');
  });

  it('of a scope whose connection is read-only goes to a replica', async () => {
    const engine = engineOfBoth();
    const server = await engine.scope(() => serverOf(engine.currentConnection().scalar(WHERE)), {
      connection: { readOnly: true },
    });
    expect(server).toBe('replica');
  });

  it('refuses a server that is none of the words', () => {
    const engine = engineOfBoth();
    expect(() => engine.openTransaction({ server: 'replica' } as object)).toThrow(ArgumentError);
  });
});

describe('a replica that takes no work', () => {
  const read = (engine: AsyncEngine): Promise<string> =>
    serverOf(engine.execute(WHERE, undefined, { readOnly: true }).scalar());

  it('is left for the next, then for the primary', async () => {
    const dead = `postgresql://127.0.0.1:${await freePort()}`;
    const [{ url } = { url: '' }] = primary.replicas;
    const mixed = engineWith({ url: [dead, url], readYourWrites: false });
    for (let count = 0; count < 10; count += 1) expect(await read(mixed)).toBe('replica');
    const reasons: string[] = [];
    const alone = engineWith({ url: dead });
    alone.on('replicaFallback', ({ reason }) => reasons.push(reason ?? ''));
    expect(await read(alone)).toBe('primary');
    expect(await alone.transaction(() => serverOf(alone.execute(WHERE).scalar()), { readOnly: true })).toBe(
      'primary',
    );
    expect(reasons[0]).toMatch(/^no replica takes work \(127\.0\.0\.1:\d+: unreachable\)$/);
    expect(alone.replicas.status()).toMatchObject([{ role: undefined, usable: false }]);
  });

  it("is a NoReplicaError with fallback: 'fail'", async () => {
    const engine = engineWith({ url: `postgresql://127.0.0.1:${await freePort()}`, fallback: 'fail' });
    await expect(read(engine)).rejects.toBeInstanceOf(NoReplicaError);
    await expect(engine.transaction(() => engine.execute(WHERE), { readOnly: true })).rejects.toBeInstanceOf(
      NoReplicaError,
    );
    expect(await engine.scalar(WHERE)).toBe(false);
  });

  it('is one whose server is a primary', async () => {
    const engine = engineWith({ url: primary.url, checkInterval: 20 });
    expect(await read(engine)).toBe('primary');
    expect(engine.replicas.status()).toMatchObject([{ role: 'primary', usable: false }]);
  });

  it('is one that is behind by more than maxLag, until it has caught up', async () => {
    const [slow] = primary.replicas;
    if (slow === undefined) throw new Error('no replica');
    const engine = engineWith({ url: slow.url, maxLag: 100, checkInterval: 20, readYourWrites: false });
    expect(await read(engine)).toBe('replica');
    const resume = await pauseReplay(slow);
    try {
      await eventually(async () => {
        await queryOnce(primary.url, "SELECT pg_logical_emit_message(true, 'test', 'more')");
        expect(await read(engine)).toBe('primary');
      });
      expect(engine.replicas.status()[0]?.lag).toBeGreaterThan(100);
    } finally {
      await resume();
    }
    await eventually(async () => expect(await read(engine)).toBe('replica'));
  });

  it('is none whose last transaction is old, once it has what its primary had at the first question', async () => {
    const [idle] = primary.replicas;
    if (idle === undefined) throw new Error('no replica');
    await queryOnce(primary.url, "SELECT pg_logical_emit_message(true, 'test', 'last')");
    await eventually(async () => {
      const text = `SELECT clock_timestamp() - pg_last_xact_replay_timestamp() > '200 ms'
        AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() AS old`;
      expect(await queryOnce(idle.url, text)).toEqual([{ old: true }]);
    });
    const resume = await pauseReplay(idle);
    try {
      // Not by a transaction: the last one that is applied stays old.
      await queryOnce(primary.url, "SELECT pg_logical_emit_message(false, 'test', 'more')");
      await eventually(async () => {
        const text = 'SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn() AS more';
        expect(await queryOnce(idle.url, text)).toEqual([{ more: true }]);
      });
      const once = { checkInterval: 600_000, waitForWrites: 600_000 };
      const engine = engineWith({ url: idle.url, maxLag: 100, readYourWrites: false, ...once });
      const reading = read(engine);
      await eventually(() => expect(engine.replicas.status()).toMatchObject([{ problem: 'lag' }]));
      await resume();
      expect(await reading).toBe('replica');
    } finally {
      await resume();
    }
  });

  it('is one that was promoted, whose sessions are left', async () => {
    const standby = await primary.addReplica();
    const engine = engineWith({ url: standby.url, checkInterval: 20, readYourWrites: false });
    expect(await read(engine)).toBe('replica');
    await promote(standby);
    await eventually(() =>
      expect(engine.replicas.status()).toMatchObject([{ role: 'primary', usable: false }]),
    );
    expect(await read(engine)).toBe('primary');
    await standby.stop();
  });

  it('is one that was killed: callers go elsewhere, and come back to one that returns', async () => {
    const standby = await primary.addReplica();
    const engine = engineWith({ url: standby.url, checkInterval: 20, readYourWrites: false });
    const told: string[] = [];
    engine.on('replicaUp', ({ host }) => told.push(`up ${host}`));
    engine.on('replicaDown', ({ host }) => told.push(`down ${host}`));
    expect(await read(engine)).toBe('replica');
    await killServer(standby);
    await eventually(() => expect(engine.replicas.status()).toMatchObject([{ usable: false }]));
    expect(await read(engine)).toBe('primary');
    const host = `127.0.0.1:${standby.port}`;
    expect(told).toEqual([`up ${host}`, `down ${host}`]);
    await standby.stop();
  });

  it('is one that is frozen: who waits for a session of it goes elsewhere', async () => {
    const standby = await primary.addReplica();
    const engine = engineWith({ url: standby.url, checkInterval: 50, readYourWrites: false });
    expect(await read(engine)).toBe('replica');
    const thaw = await freezeServer(standby);
    try {
      await eventually(() => expect(engine.replicas.status()).toMatchObject([{ usable: false }]), 10_000);
      expect(await read(engine)).toBe('primary');
    } finally {
      thaw();
    }
    await eventually(async () => expect(await read(engine)).toBe('replica'), 10_000);
    await standby.stop();
  });
});

describe('the option replicas', () => {
  it.each<[string, unknown, RegExp]>([
    ['no url', {}, /replicas has no 'url'/],
    [
      'an empty list',
      { url: [] },
      /replicas option 'url' must be a URL, or a list of URLs that is not empty/,
    ],
    ['an unknown name', { url: 'postgresql://a', lag: 1 }, /unknown replicas option/],
    ['a wrong word', { url: 'postgresql://a', fallback: 'none' }, /'fallback' must be 'primary' or 'fail'/],
    ['a wrong mode', { url: 'postgresql://a', readYourWrites: 'yes' }, /'readYourWrites' must be/],
  ])('refuses %s', (_, replicas, message) => {
    expect(() => createAsyncEngine('postgresql://localhost', { replicas } as AsyncEngineOptions)).toThrow(
      message,
    );
  });

  it('is refused beside what leads to one server alone, and over PGlite', () => {
    const replicas = { url: 'postgresql://a' };
    const asyncCreator = (): Promise<unknown> => Promise.resolve();
    expect(() => createAsyncEngine('postgresql://b', { replicas, asyncCreator })).toThrow(/'asyncCreator'/);
    expect(() => createAsyncEngine('postgresql+pglite://', { replicas })).toThrow(/use postgresql:\/\//);
  });
});
