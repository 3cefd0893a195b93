import {
  createAsyncEngine,
  sql,
  text,
  type AsyncEngine,
  type AsyncEngineOptions,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../../lib/embedded/embedded-postgres.js';
import { LogLines } from '../../../support/doubles/log-lines.js';
import { eventually } from '../../../support/process/barrier.js';
import { startFaultyProxy, type FaultyProxy } from '../../../support/server/faulty-proxy.js';
import { queryOnce } from '../../../support/server/postgres.js';
import { pauseReplay } from '../../../support/server/standby.js';

const WHERE = text<{ standby: boolean }>('SELECT pg_is_in_recovery() AS standby');
const READ = { readOnly: true } as const;

let primary: EmbeddedPostgres;
let paused: EmbeddedPostgres;
let resume: () => Promise<void>;
const engines: AsyncEngine[] = [];

function engineWith(replicas: Partial<NonNullable<AsyncEngineOptions['replicas']>>): AsyncEngine {
  const engine = createAsyncEngine(primary.url, {
    logger: new LogLines(),
    replicas: { url: paused.url, maxLag: 600_000, ...replicas },
  });
  engines.push(engine);
  return engine;
}

const count = sql<{ count: number }>`SELECT count(*)::int AS count FROM notes`;
const write = (engine: AsyncEngine): Promise<unknown> =>
  engine.execute(sql`INSERT INTO notes DEFAULT VALUES`).then(() => undefined);
/** By a root, a statement and a stream. */
const counts = async (engine: AsyncEngine): Promise<(number | undefined)[]> => [
  await engine.transaction(() => engine.scalar<number>(count), READ),
  await engine.scalar<number>(count, undefined, READ),
  await engine.stream(count, undefined, READ).scalar<number>(),
];

beforeAll(async () => {
  primary = await startEmbeddedPostgres({ replicas: 1 });
  [paused] = primary.replicas as [EmbeddedPostgres];
  await queryOnce(primary.url, 'CREATE TABLE notes (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)');
  await eventually(() => queryOnce(paused.url, 'SELECT FROM notes'));
  resume = await pauseReplay(paused);
});
beforeEach(() => queryOnce(primary.url, 'TRUNCATE notes'));
afterEach(async () => {
  for (const engine of engines.splice(0)) {
    await eventually(() => {
      const { pool, replicas } = engine;
      expect([pool.checkedOut(), ...replicas.status().map(({ checkedOut }) => checkedOut)]).toEqual([0, 0]);
    });
    await engine.aclose();
  }
});
afterAll(async () => {
  await resume();
  await primary.stop();
});

describe("readYourWrites: 'lsn'", () => {
  it('lets a scope see what it has written by a statement, whatever the replica has', async () => {
    const engine = engineWith({});
    const behind: string[] = [];
    engine.on('replicaBehind', ({ host }) => behind.push(host ?? ''));
    const seen = await engine.scope(async () => {
      await write(engine);
      return await counts(engine);
    });
    expect(seen).toEqual([1, 1, 1]);
    expect(behind).toEqual(Array.from({ length: 3 }, () => `127.0.0.1:${paused.port}`));
  });

  it.each<[string, (engine: AsyncEngine) => Promise<unknown>]>([
    ['a transaction', (engine) => engine.transaction(() => write(engine))],
    [
      'a begin()',
      (engine) =>
        engine.begin((connection) =>
          connection
            .execute(sql`INSERT INTO notes DEFAULT VALUES`)
            .all()
            .catch(() => 0),
        ),
    ],
    ['a scope inside', (engine) => engine.scope(() => write(engine))],
    [
      'an executemany',
      (engine) =>
        engine
          .execute(text('INSERT INTO notes (id) OVERRIDING SYSTEM VALUE VALUES (:id)'), [{ id: 1 }])
          .then(() => 0),
    ],
    [
      'a value whose type has to be asked for',
      (engine) =>
        engine
          .execute(
            sql`INSERT INTO notes (id) OVERRIDING SYSTEM VALUE SELECT 1 WHERE ${[1]}::jsonb IS NOT NULL`,
          )
          .then(() => 0),
    ],
    [
      'a function that writes',
      (engine) =>
        engine
          .scalar(sql`SELECT nextval('notes_id_seq')`)
          .then(() => engine.execute(sql`INSERT INTO notes DEFAULT VALUES`).then(() => 0)),
    ],
    [
      'an AUTOCOMMIT connection',
      async (engine) => {
        await using connection = await engine.executionOptions({ isolationLevel: 'AUTOCOMMIT' }).connect();
        await connection.execute(sql`INSERT INTO notes DEFAULT VALUES`);
      },
    ],
  ])('sees what %s has written', async (_, writing) => {
    const engine = engineWith({});
    const seen = await engine.scope(async () => {
      await writing(engine);
      return await counts(engine);
    });
    expect(seen).toEqual([1, 1, 1]);
  });

  it('reads on the replica where the scope has written nothing, and outside of scopes', async () => {
    const engine = engineWith({});
    await write(engine);
    expect(await engine.scalar(WHERE, undefined, READ)).toBe(true);
    expect(await engine.scope(() => engine.scalar(WHERE, undefined, READ))).toBe(true);
  });

  it('reads on the replica again once that has the write', async () => {
    await resume();
    try {
      const engine = engineWith({});
      await engine.scope(async () => {
        await write(engine);
        await eventually(async () => expect(await engine.scalar(WHERE, undefined, READ)).toBe(true));
        expect(await counts(engine)).toEqual([1, 1, 1]);
        expect(await engine.transaction(() => engine.scalar(WHERE), READ)).toBe(true);
      });
    } finally {
      resume = await pauseReplay(paused);
    }
  });

  it('reads on a replica that has the whole log, where the next record begins behind a header', async () => {
    await resume();
    try {
      const engine = engineWith({});
      expect(await engine.scalar(WHERE, undefined, READ)).toBe(true);
      await eventually(async () => {
        await queryOnce(primary.url, 'SELECT pg_switch_wal()');
        const [row] = await queryOnce(primary.url, 'SELECT pg_current_wal_insert_lsn() AS next');
        expect(row?.['next']).toMatch(/000028$/);
      });
      await engine.scope(async () => {
        await engine.scalar(WHERE);
        await eventually(async () => expect(await engine.scalar(WHERE, undefined, READ)).toBe(true));
      });
    } finally {
      resume = await pauseReplay(paused);
    }
  });

  it('keeps a root on the primary whole, with what is nested in it', async () => {
    const engine = engineWith({});
    const seen = await engine.scope(async () => {
      await write(engine);
      return await engine.transaction(
        async () => [
          await engine.transaction(() => engine.scalar(WHERE)),
          await engine.scalar(WHERE),
          await engine.scalar(count),
        ],
        { ...READ, timeout: 5_000 },
      );
    });
    expect(seen).toEqual([false, false, 1]);
  });

  it('refuses a write of a read-only root also where that came to the primary', async () => {
    const engine = engineWith({});
    await engine.scope(async () => {
      await write(engine);
      await expect(engine.transaction(() => write(engine), READ)).rejects.toMatchObject({
        sqlState: '25006',
      });
    });
    expect(await queryOnce(primary.url, 'SELECT count(*)::int AS count FROM notes')).toEqual([{ count: 1 }]);
  });

  it('ends a read by its timeout, also while the question is in front of it', async () => {
    const engine = engineWith({});
    await engine.scope(async () => {
      await write(engine);
      const slow = engine.execute(sql`SELECT pg_sleep(20)`, undefined, { ...READ, timeout: 50 });
      await expect(slow).rejects.toMatchObject({ code: 'QUERY_CANCELED' });
      expect(await engine.scalar(count, undefined, READ)).toBe(1);
    });
  });
});

describe('a consistency token', () => {
  it('lets another scope, and another engine, see what was written before it', async () => {
    const engine = engineWith({});
    const token = await engine.scope(async () => {
      await engine.transaction(() => write(engine));
      return engine.consistencyToken();
    });
    expect(token).toMatch(/^[0-9A-F]+\/[0-9A-F]+$/);
    const other = engineWith({});
    expect(await other.scope(() => counts(other), { after: token })).toEqual([1, 1, 1]);
    expect(await other.scope(async () => other.consistencyToken(), { after: token })).toBe(token);
  });

  it('is that of the engine outside of scopes, and empty where nothing was written', async () => {
    const engine = engineWith({});
    expect(engine.consistencyToken()).toBe('');
    expect(await engine.scope(async () => engine.consistencyToken())).toBe('');
    await write(engine);
    expect(await engine.scope(() => counts(engine), { after: engine.consistencyToken() })).toEqual([1, 1, 1]);
  });

  it.each(['x', '0/', '0/3000060; DROP TABLE notes', 'at:', 'at:soon'])('is refused as %j', (after) => {
    const engine = engineWith({});
    expect(() => engine.openScope({ after })).toThrow("scope option 'after' must be a token");
  });
});

describe('the other ways to read your writes', () => {
  it("'primary': the rest of the scope reads there once it has written", async () => {
    const engine = engineWith({ readYourWrites: 'primary' });
    await engine.scope(async () => {
      expect(await engine.scalar(WHERE, undefined, READ)).toBe(true);
      await write(engine);
      expect(await engine.scalar(WHERE, undefined, READ)).toBe(false);
      expect(await counts(engine)).toEqual([1, 1, 1]);
      const after = engine.consistencyToken();
      expect(after).toMatch(/^at:\d+$/);
      expect(await engine.runDetached(() => engine.scope(() => counts(engine), { after }))).toEqual([
        1, 1, 1,
      ]);
    });
  });

  it('{ primaryFor }: they do for so long', async () => {
    const engine = engineWith({ readYourWrites: { primaryFor: 60_000 } });
    const ago = (milliseconds: number): string => `at:${Date.now() - milliseconds}`;
    expect(await engine.scope(() => engine.scalar(WHERE, undefined, READ), { after: ago(61_000) })).toBe(
      true,
    );
    expect(await engine.scope(() => engine.scalar(WHERE, undefined, READ), { after: ago(50_000) })).toBe(
      false,
    );
  });

  it('false: they read what the replica has', async () => {
    const engine = engineWith({ readYourWrites: false });
    await engine.scope(async () => {
      await write(engine);
      expect(await engine.scalar(WHERE, undefined, READ)).toBe(true);
    });
  });
});

describe('round trips', () => {
  let proxies: [FaultyProxy, FaultyProxy];

  beforeEach(async () => {
    proxies = [await startFaultyProxy(primary.url), await startFaultyProxy(paused.url)];
  });
  afterEach(async () => {
    for (const engine of engines.splice(0)) await engine.aclose();
    for (const proxy of proxies) await proxy.close();
  });

  it('are as many as without replicas: a write, a transaction, a read on the replica', async () => {
    await resume();
    try {
      const [front, back] = proxies;
      const engine = createAsyncEngine(front.url, {
        logger: new LogLines(),
        replicas: { url: back.url, checkInterval: 600_000, maxLag: 600_000 },
      });
      engines.push(engine);
      const insert = sql`INSERT INTO notes DEFAULT VALUES`;
      const work = async (): Promise<number[]> => {
        const trips: number[] = [];
        const counted = async (step: () => Promise<unknown>): Promise<void> => {
          const before = front.roundTrips + back.roundTrips;
          await step();
          trips.push(front.roundTrips + back.roundTrips - before);
        };
        await counted(() => engine.execute(insert));
        await counted(() => engine.transaction(() => engine.execute(insert)));
        await eventually(async () => expect(await engine.scalar(WHERE, undefined, READ)).toBe(true));
        await counted(() => engine.scalar(count, undefined, READ));
        await counted(() => engine.scalar(count, undefined, { ...READ, timeout: 5_000 }));
        await counted(() => engine.transaction(() => engine.scalar(count), { ...READ, timeout: 5_000 }));
        return trips;
      };
      await engine.scope(work);
      await eventually(() => expect(engine.pool.checkedOut()).toBe(0));
      expect(await engine.scope(work)).toEqual([1, 2, 1, 1, 2]);
    } finally {
      resume = await pauseReplay(paused);
    }
  });

  it.each(['one after the other', 'at once'])(
    'are as many also where the replica is behind, but for one statement that finds out: reads %s',
    async (order) => {
      const [front, back] = proxies;
      const engine = createAsyncEngine(front.url, {
        logger: new LogLines(),
        poolSize: 1,
        maxOverflow: 0,
        multiplex: false,
        replicas: { url: back.url, checkInterval: 600_000, maxLag: 600_000 },
      });
      engines.push(engine);
      await engine.scalar(WHERE);
      await engine.scalar(WHERE, undefined, READ);
      const read = (): Promise<unknown> => engine.scalar(count, undefined, READ);
      const trips = await engine.scope(async () => {
        await write(engine);
        const before = front.roundTrips + back.roundTrips;
        const seen = order === 'at once' ? await Promise.all(Array.from({ length: 20 }, read)) : [];
        while (seen.length < 20) seen.push(await read());
        expect(new Set(seen)).toEqual(new Set([1]));
        return front.roundTrips + back.roundTrips - before;
      });
      // Each miss doubles the age from which on a write is asked for.
      expect(trips).toBeLessThanOrEqual(20 + (order === 'at once' ? 1 : 8));
    },
  );
});
