import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Control, Driver, DriverConnection } from '../../lib/engine/driver/driver.js';
import { PgDriver } from '../../lib/engine/driver/pg/connect/pg-driver.js';
import { PgliteDatabase } from '../../lib/engine/driver/pglite/pglite-database.js';
import { PgliteDriver } from '../../lib/engine/driver/pglite/pglite-driver.js';
import { DBAPIError, InterfaceError, StatementError } from '../../lib/engine/errors/errors.js';
import {
  ConnectionLostError,
  ProgrammingError,
  QueryCanceledError,
} from '../../lib/engine/errors/server-errors.js';
import { resolveTypes } from '../../lib/engine/driver/types/types.js';
import { makeUrl } from '../../lib/engine/driver/url/url.js';
import { eventually } from '../support/process/barrier.js';
import { createDatabase, type TestDatabase } from '../support/server/postgres.js';

type Settings = Readonly<Record<string, string>>;

/** A driver on a database of its own. */
interface Bench {
  readonly driver: Driver;
  withSettings(settings: Settings): Driver;
  /** What looks at the database from outside; undefined where the session under test is all there is. */
  readonly observer: TestDatabase | undefined;
  remove(): Promise<void>;
}

interface Candidate {
  readonly name: string;
  readonly open: () => Promise<Bench>;
  /** Set: nothing but the session itself can see or end it. */
  readonly isAlone: string | false;
  /** Set: what runs can't be cancelled. */
  readonly runsToTheEnd: string | false;
}

const options = (settings: Settings) => ({
  connectTimeout: 5_000,
  preparedStatementCacheSize: 100,
  types: resolveTypes(),
  settings,
});

async function openPg(): Promise<Bench> {
  const database = await createDatabase('driver');
  const withSettings = (settings: Settings) => new PgDriver(makeUrl(database.url), options(settings));
  return { driver: withSettings({}), withSettings, observer: database, remove: () => database.drop() };
}

/** One instance for all drivers of this file: each costs seconds and 700 MB. */
function openPglite(): Promise<Bench> {
  const databaseUrl = makeUrl('postgresql+pglite://');
  const database = new PgliteDatabase(undefined, {});
  const withSettings = (settings: Settings) => new PgliteDriver(databaseUrl, options(settings), database);
  const driver = withSettings({});
  return Promise.resolve({ driver, withSettings, observer: undefined, remove: () => driver.close() });
}

const candidates: readonly Candidate[] = [
  { name: 'pg', open: openPg, isAlone: false, runsToTheEnd: false },
  {
    name: 'pglite',
    open: openPglite,
    isAlone: 'there is one session and nobody beside it',
    runsToTheEnd: 'a statement blocks the event loop until it has ended',
  },
];

describe.each(candidates)('the driver $name', ({ open, isAlone, runsToTheEnd }) => {
  let bench: Bench;
  let connection: DriverConnection;

  const because = (reason: string | false): string => (reason === false ? '' : ` [skipped: ${reason}]`);

  const control = (text: string, acknowledged?: () => void): Control => ({
    text,
    ...(acknowledged && { acknowledged }),
  });
  const run = (text: string, values?: readonly unknown[]) => connection.execute([], { text, values });
  const rowsOf = async (text: string) => (await run(text)).rows;

  beforeAll(async () => {
    bench = await open();
    const session = await bench.driver.connect();
    await session.execute([], { text: 'CREATE TABLE item (id int)' });
    await session.close();
  }, 120_000);

  beforeEach(async () => {
    connection = await bench.driver.connect();
    await run('TRUNCATE item');
  });

  afterEach(() => connection.close());
  afterAll(() => bench.remove());

  it('says which process of the server it talks to', async () => {
    expect(await rowsOf('SELECT pg_backend_pid() AS pid')).toEqual([{ pid: connection.processId }]);
  });

  it('applies its settings before anybody else uses the connection', async () => {
    await connection.close();
    const settings = { application_name: "it's", statement_timeout: '1234' };
    connection = await bench.withSettings(settings).connect();
    expect(
      await rowsOf(
        `SELECT current_setting('application_name') AS name, current_setting('statement_timeout') AS time`,
      ),
    ).toEqual([{ name: "it's", time: '1234ms' }]);
  });

  it('leaves no setting to the session after it', async () => {
    await run("SET application_name = 'former'");
    await connection.close();
    connection = await bench.driver.connect();
    expect(await rowsOf(`SELECT current_setting('application_name') AS name`)).toEqual([{ name: '' }]);
  });

  it('leaves no transaction to the session after it', async () => {
    await connection.execute([control('BEGIN')], { text: 'INSERT INTO item VALUES (1)' });
    connection.terminate();
    connection = await bench.driver.connect();
    expect([connection.status, await rowsOf('SELECT * FROM item')]).toEqual(['idle', []]);
  });

  it.skipIf(isAlone !== false)(
    `leaves no session behind when a setting is refused${because(isAlone)}`,
    async () => {
      const opening = bench.withSettings({ statement_timeout: 'nonsense' }).connect();
      await expect(opening).rejects.toMatchObject({ sqlState: '22023' });
      await eventually(async () => expect(await bench.observer?.sessions()).toHaveLength(1));
    },
  );

  it('can connect again after a setting was refused', async () => {
    await connection.close();
    const opening = bench.withSettings({ statement_timeout: 'nonsense' }).connect();
    await expect(opening).rejects.toMatchObject({ sqlState: '22023' });
    connection = await bench.driver.connect();
    expect(await rowsOf('SELECT 1 AS a')).toEqual([{ a: 1 }]);
  });

  it('gives the rows, their shape and the tag of a statement', async () => {
    const result = await run('SELECT $1::int AS a, $2::text AS b', [1, 'x']);
    expect(result).toMatchObject({
      command: 'SELECT',
      rowCount: 1,
      rows: [{ a: 1, b: 'x' }],
      shape: {
        fields: [
          { name: 'a', typeOid: 23 },
          { name: 'b', typeOid: 25 },
        ],
        keyed: true,
      },
    });
  });

  it('gives rows by position where two columns share a name', async () => {
    expect(await run('SELECT 1 AS a, 2 AS a')).toMatchObject({ rows: [[1, 2]], shape: { keyed: false } });
  });

  it.each([
    ['INSERT INTO item VALUES (1), (2)', 'INSERT', 2],
    ['CREATE TEMPORARY TABLE made (id int)', 'CREATE TABLE', -1],
    ['CREATE TEMPORARY TABLE made AS SELECT 1', 'SELECT', 1],
    ['SET application_name = x', 'SET', -1],
    ['', '', -1],
    ['-- nothing', '', -1],
  ])('tells what became of %o', async (text, command, rowCount) => {
    expect(await run(text)).toMatchObject({ command, rowCount, rows: [], shape: undefined });
  });

  it('runs commands in the order in which they came', async () => {
    const answers: string[] = [];
    const ask = (name: string, text: string) => run(text).then(() => answers.push(name));
    await Promise.all([
      ask('slow', 'SELECT pg_sleep(0.05)'),
      ask('quick', 'SELECT 1'),
      ask('last', 'SELECT 2'),
    ]);
    expect(answers).toEqual(['slow', 'quick', 'last']);
  });

  it('gives each of several commands at once its own answer or error', async () => {
    const settled = await Promise.allSettled([
      run('SELECT 1 AS a'),
      run('SELECT nonsense'),
      run('SELECT 3 AS a'),
    ]);
    expect(settled).toMatchObject([
      { value: { rows: [{ a: 1 }] } },
      { reason: expect.any(ProgrammingError) },
      { value: { rows: [{ a: 3 }] } },
    ]);
  });

  it('is quiet when nothing runs or waits', async () => {
    const before = connection.isQuiet;
    const running = run('SELECT 1');
    const during = connection.isQuiet;
    await running;
    expect([before, during, connection.isQuiet]).toEqual([true, false, true]);
  });

  it('follows the status of the transaction', async () => {
    const statuses = [connection.status];
    await run('BEGIN');
    statuses.push(connection.status);
    await run('SELECT nonsense').catch(() => undefined);
    statuses.push(connection.status);
    await run('ROLLBACK');
    expect([...statuses, connection.status]).toEqual(['idle', 'open', 'failed', 'idle']);
  });

  describe('control in front of a command', () => {
    it('runs before it', async () => {
      await connection.execute([control('BEGIN')], { text: 'INSERT INTO item VALUES (1)' });
      expect(connection.status).toBe('open');
      await run('ROLLBACK');
      expect(await rowsOf('SELECT * FROM item')).toEqual([]);
    });

    it('answers with the result of the command', async () => {
      const result = await connection.execute([control('BEGIN'), control('SAVEPOINT a')], {
        text: 'SELECT 7 AS n',
      });
      expect(result.rows).toEqual([{ n: 7 }]);
    });

    it('stops the command when it fails: nothing runs in autocommit', async () => {
      const work = connection.execute([control('BEGIN ISOLATION LEVEL nonsense')], {
        text: 'INSERT INTO item VALUES (1)',
      });
      await expect(work).rejects.toMatchObject({ sqlState: '42601' });
      expect([connection.status, await rowsOf('SELECT * FROM item')]).toEqual(['idle', []]);
    });

    it('is acknowledged when the server has confirmed it, also when the command fails', async () => {
      const seen: string[] = [];
      const work = connection.execute(
        [control('BEGIN', () => seen.push('begin')), control('SAVEPOINT a', () => seen.push('savepoint'))],
        { text: 'SELECT 1 / 0' },
      );
      await expect(work).rejects.toMatchObject({ sqlState: '22012' });
      expect([seen, connection.status]).toEqual([['begin', 'savepoint'], 'failed']);
    });

    it('is not acknowledged when it fails', async () => {
      const seen: string[] = [];
      const work = connection.execute(
        [control('BEGIN', () => seen.push('begin')), control('RELEASE a', () => seen.push('release'))],
        { text: 'SELECT 1' },
      );
      await expect(work).rejects.toMatchObject({ sqlState: '3B001', statement: 'RELEASE a' });
      expect(seen).toEqual(['begin']);
    });
  });

  describe('many commands', () => {
    it('give one result each, without those of the control', async () => {
      const results = await connection.executeMany(
        [control('BEGIN')],
        [{ text: 'SELECT 1 AS a' }, { text: 'SELECT 2 AS b' }],
      );
      expect(results.map(({ rows }) => rows)).toEqual([[{ a: 1 }], [{ b: 2 }]]);
    });

    it('are stored together or not at all', async () => {
      const insert = 'INSERT INTO item VALUES ($1)';
      const work = connection.executeMany(
        [],
        [
          { text: insert, values: [1] },
          { text: insert, values: ['x'] },
          { text: insert, values: [3] },
        ],
      );
      await expect(work).rejects.toMatchObject({ sqlState: '22P02' });
      expect(await rowsOf('SELECT * FROM item')).toEqual([]);
    });

    describe('in pages', () => {
      const insert = { text: 'INSERT INTO item VALUES ($1) RETURNING id' };
      const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);
      const inserts = (ids: readonly unknown[]) => ids.map((id) => ({ ...insert, values: [id] }));
      const paged = (opening: readonly Control[], ids: readonly unknown[]) =>
        connection.executeMany(opening, inserts(ids), { pageSize: 5 });
      const stored = () => rowsOf('SELECT id FROM item ORDER BY id');
      const rows = (count: number) => numbers(count).map((id) => ({ id }));

      it('give their rows in the order of the commands', async () => {
        for (const count of [1, 5, 6, 10, 23]) {
          const results = await paged([control('BEGIN')], numbers(count));
          await run('ROLLBACK');
          expect(results.flatMap((result) => result.rows)).toEqual(rows(count));
        }
      });

      it.each([4, 7, 12, 22])('end with the one that fails, which is number %i of 23', async (place) => {
        const work = paged(
          [control('BEGIN')],
          numbers(23)
            .with(place, 2 ** 40)
            .with(22, 2 ** 50),
        );
        await expect(work).rejects.toMatchObject({
          message: expect.stringContaining(`"${place === 22 ? 2 ** 50 : 2 ** 40}"`),
          sqlState: '22003',
        });
        expect([connection.status, connection.isQuiet]).toEqual(['failed', true]);
      });

      it('are stored together or not at all outside of a transaction', async () => {
        await paged([], numbers(5));
        await run('TRUNCATE item');
        await expect(paged([], [...numbers(22), 'x'])).rejects.toMatchObject({ sqlState: '22P02' });
        expect([connection.status, await stored()]).toEqual(['idle', []]);
      });

      it('end before a value that has no text, and the transaction goes on', async () => {
        const work = paged([control('BEGIN')], [...numbers(12), Symbol('x'), ...numbers(5)]);
        await expect(work).rejects.toBeInstanceOf(StatementError);
        expect([connection.status, await stored()]).toEqual(['open', rows(10)]);
      });

      it("tell of the server's error where a later value has no text", async () => {
        await paged([], numbers(5));
        const work = paged([control('BEGIN')], [...numbers(9), 'x', new Date(Number.NaN)]);
        await expect(work).rejects.toMatchObject({ sqlState: '22P02' });
        expect(connection.status).toBe('failed');
      });
    });

    it('may be none', async () => {
      expect(await connection.executeMany([control('BEGIN')], [])).toEqual([]);
      expect(connection.status).toBe('open');
    });
  });

  it('never gives a name twice', () => {
    const names = Array.from({ length: 100 }, () => connection.uniqueName('x'));
    expect(new Set(names).size).toBe(100);
  });

  describe('a portal', () => {
    const numbers = { text: 'SELECT generate_series(1, $1::int) AS n', values: [5] };
    const begin = [control('BEGIN')];

    it('gives its rows in batches and says when it is exhausted', async () => {
      const portal = connection.openPortal(begin, numbers);
      const batches = [await portal.fetch(2), await portal.fetch(2), await portal.fetch(2)];
      expect(batches).toMatchObject([
        { rows: [{ n: 1 }, { n: 2 }], done: false },
        { rows: [{ n: 3 }, { n: 4 }], done: false },
        { rows: [{ n: 5 }], done: true },
      ]);
    });

    it('says how many bytes the rows of a batch took, where it knows', async () => {
      const values = { text: "SELECT repeat('x', 100 * n) AS x FROM generate_series(1, 2) AS n", values: [] };
      const portal = connection.openPortal(begin, values);
      const [shorter, longer] = [(await portal.fetch(1)).bytes, (await portal.fetch(1)).bytes];
      const more = shorter === undefined || longer === undefined ? 'unknown' : longer - shorter;
      expect([100, 'unknown']).toContain(more);
    });

    it('knows its shape after the first fetch', async () => {
      const portal = connection.openPortal(begin, numbers);
      const before = portal.shape;
      await portal.fetch(1);
      expect([before, portal.shape?.fields]).toEqual([undefined, [{ name: 'n', typeOid: 23 }]]);
    });

    it('lets other commands and portals run between its fetches', async () => {
      const one = connection.openPortal(begin, numbers);
      const other = connection.openPortal([], numbers);
      await one.fetch(2);
      await other.fetch(3);
      await run('SELECT 1');
      expect([(await one.fetch(2)).rows, (await other.fetch(1)).rows]).toEqual([
        [{ n: 3 }, { n: 4 }],
        [{ n: 4 }],
      ]);
    });

    it('outlives the eviction of its prepared statement', async () => {
      const portal = connection.openPortal(begin, numbers);
      await portal.fetch(1);
      for (let index = 0; index < 120; index += 1) await run(`SELECT ${index}`);
      expect((await portal.fetch(1)).rows).toEqual([{ n: 2 }]);
    });

    it('streams what a writing statement returns', async () => {
      const portal = connection.openPortal(begin, {
        text: 'INSERT INTO item SELECT generate_series(1, 3) RETURNING id',
      });
      expect(await portal.fetch(2)).toMatchObject({ rows: [{ id: 1 }, { id: 2 }], done: false });
    });

    it('is done at once where a statement returns no rows', async () => {
      const portal = connection.openPortal(begin, { text: 'INSERT INTO item VALUES (1)' });
      expect(await portal.fetch(2)).toMatchObject({ rows: [], done: true });
    });

    it('is gone from the server once closed, and closed twice', async () => {
      const portal = connection.openPortal(begin, numbers);
      await portal.fetch(1);
      await portal.close();
      await portal.close();
      expect(await rowsOf("SELECT name FROM pg_cursors WHERE name LIKE 'nae_portal%'")).toEqual([]);
      await expect(portal.fetch(1)).rejects.toMatchObject({ code: 'RESOURCE_CLOSED' });
    });

    it('closes without a word when nothing was fetched', async () => {
      await connection.openPortal(begin, numbers).close();
      expect(connection.status).toBe('idle');
    });

    it('reports an error behind rows that were delivered and leaves the connection usable', async () => {
      const portal = connection.openPortal(begin, {
        text: 'SELECT 1 / (3 - n) AS q FROM generate_series(1, 5) AS n',
      });
      expect((await portal.fetch(2)).rows).toHaveLength(2);
      await expect(portal.fetch(2)).rejects.toMatchObject({ sqlState: '22012' });
      await portal.close();
      await run('ROLLBACK');
      expect(await rowsOf('SELECT 1 AS a')).toEqual([{ a: 1 }]);
    });

    it('fails with the connection and can be closed then', async () => {
      const portal = connection.openPortal(begin, numbers);
      await portal.fetch(1);
      connection.terminate();
      await expect(portal.fetch(1)).rejects.toBeInstanceOf(ConnectionLostError);
      await portal.close();
    });
  });

  describe('cancel', () => {
    it.skipIf(runsToTheEnd !== false)(
      `ends what runs and leaves the connection usable${because(runsToTheEnd)}`,
      async () => {
        const failure = run('SELECT pg_sleep(30)').catch((error: unknown) => error);
        await eventually(async () =>
          expect(await bench.observer?.sessions()).toMatchObject([{ wait_event_type: 'Timeout' }]),
        );
        await connection.cancel();
        expect(await failure).toBeInstanceOf(QueryCanceledError);
        expect(await rowsOf('SELECT 1 AS a')).toEqual([{ a: 1 }]);
      },
    );

    it('does nothing when nothing runs', async () => {
      await connection.cancel();
      expect(await rowsOf('SELECT 1 AS a')).toEqual([{ a: 1 }]);
    });

    it.skipIf(runsToTheEnd !== false)(`comes from an option: a timeout${because(runsToTheEnd)}`, async () => {
      const work = connection.execute([], { text: 'SELECT pg_sleep(30)' }, { timeout: 20 });
      await expect(work).rejects.toMatchObject({ code: 'QUERY_CANCELED', sqlState: '57014' });
    });

    it('comes from an option: a timeout that expires while the statement waits for its turn', async () => {
      const before = run('SELECT pg_sleep(0.1)');
      const work = connection.execute([], { text: 'INSERT INTO item VALUES (1)' }, { timeout: 20 });
      await expect(work).rejects.toMatchObject({ code: 'QUERY_CANCELED', sqlState: undefined });
      await before;
      expect(await rowsOf('SELECT * FROM item')).toEqual([]);
    });

    it('comes from an option: a signal that was aborted before; then nothing is sent', async () => {
      const work = connection.execute(
        [],
        { text: 'INSERT INTO item VALUES (1)' },
        { signal: AbortSignal.abort() },
      );
      await expect(work).rejects.toMatchObject({ code: 'QUERY_CANCELED', sqlState: undefined });
      expect(await rowsOf('SELECT * FROM item')).toEqual([]);
    });

    it('takes a timeout longer than any timer for none', async () => {
      const work = connection.execute([], { text: 'SELECT pg_sleep(0.02)' }, { timeout: 2 ** 40 });
      await expect(work).resolves.toMatchObject({ rowCount: 1 });
    });
  });

  describe('the end', () => {
    it.skipIf(isAlone !== false)(`by close is heard by the server${because(isAlone)}`, async () => {
      await connection.close();
      await eventually(async () => expect(await bench.observer?.sessions()).toEqual([]));
    });

    it('by close refuses what comes later', async () => {
      await connection.close();
      await connection.close();
      expect(connection.isOpen).toBe(false);
      await expect(run('SELECT 1')).rejects.toBeInstanceOf(ConnectionLostError);
    });

    it('by terminate fails what runs and what waits', async () => {
      const settled = Promise.allSettled([run('SELECT pg_sleep(0.1)'), run('SELECT 1')]);
      connection.terminate();
      connection.terminate();
      const lost = { reason: { code: 'CONNECTION_LOST', connectionInvalidated: true } };
      expect(await settled).toMatchObject([lost, lost]);
      expect(connection.isOpen).toBe(false);
    });

    it.skipIf(isAlone !== false)(
      `by the server is noticed without a command${because(isAlone)}`,
      async () => {
        await bench.observer?.query('SELECT pg_terminate_backend($1)', [connection.processId]);
        await eventually(() => expect(connection.isOpen).toBe(false));
        await expect(run('SELECT 1')).rejects.toMatchObject({ code: 'CONNECTION_LOST', sqlState: '57P01' });
      },
    );
  });

  it.each(['COPY item FROM STDIN', 'COPY item TO STDOUT'])('refuses %s and stays usable', async (text) => {
    await expect(run(text)).rejects.toBeInstanceOf(InterfaceError);
    expect(await rowsOf('SELECT 1 AS a')).toEqual([{ a: 1 }]);
  });

  it('refuses a value that it cannot encode before anything is sent', async () => {
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    const work = connection.execute([control('BEGIN')], { text: 'SELECT $1', values: [circular] });
    await expect(work).rejects.toBeInstanceOf(StatementError);
    await expect(work).rejects.not.toBeInstanceOf(DBAPIError);
    expect([connection.status, connection.isQuiet]).toEqual(['idle', true]);
  });
});
