import { createAsyncEngine, text, type AsyncConnection, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startFaultyProxy, type FaultyProxy } from '../../../support/server/faulty-proxy.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';
import { storedNames } from '../../../support/process/outcome.js';

const insert = text('INSERT INTO item (name) VALUES (:name)');
const insertSql = 'INSERT INTO item (name) VALUES ($1)';

let database: TestDatabase;
let proxy: FaultyProxy;
let engine: AsyncEngine;

/** Runs `work` twice and counts the second run only: the connection is open then and the statements are prepared. */
async function counted(work: () => Promise<unknown>): Promise<{ roundTrips: number; flights: string[] }> {
  await work();
  proxy.reset();
  await work();
  return { roundTrips: proxy.roundTrips, flights: flights() };
}

/** The statements between two Syncs, or of a Query, joined: each line left in one flight. */
function flights(): string[] {
  const lines: string[][] = [[]];
  for (const { from, type, text: statement } of proxy.messages) {
    if (from !== 'client') continue;
    if (type === 'Execute' || type === 'Query')
      lines.at(-1)?.push((statement ?? '').replace(/nae_savepoint_\d+/, 'x'));
    if (type === 'Sync' || type === 'Query') lines.push([]);
  }
  return lines.filter((line) => line.length > 0).map((line) => line.join('; '));
}

const save = (name = 'a') => engine.execute(insert, { name });

async function withConnection(work: (connection: AsyncConnection) => Promise<unknown>): Promise<void> {
  await using connection = await engine.connect();
  await work(connection);
}

beforeAll(async () => {
  database = await createDatabase('trips');
  await database.query('CREATE TABLE item (id serial PRIMARY KEY, name text NOT NULL)');
});

beforeEach(async () => {
  await database.query('TRUNCATE item');
  proxy = await startFaultyProxy(database.url);
  engine = createAsyncEngine(proxy.url, { poolSize: 1, maxOverflow: 0 });
});

afterEach(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
  await proxy.close();
});

afterAll(() => database.drop());

it('sends one autocommitted statement in 1 round trip', async () => {
  expect(await counted(() => save())).toEqual({ roundTrips: 1, flights: [insertSql] });
});

describe.each([1, 2, 5])('a transaction of %i statements', (count) => {
  const expected = {
    roundTrips: count + 1,
    flights: [`BEGIN; ${insertSql}`, ...Array.from({ length: count - 1 }, () => insertSql), 'COMMIT'],
  };

  it('takes one more than that through engine.transaction', async () => {
    const work = () =>
      engine.transaction(async () => {
        for (let index = 0; index < count; index += 1) await save();
      });
    expect(await counted(work)).toEqual(expected);
  });

  it('takes one more than that through a handle', async () => {
    const work = () =>
      withConnection(async (connection) => {
        const transaction = await connection.begin();
        for (let index = 0; index < count; index += 1) await connection.execute(insert, { name: 'a' });
        await transaction.commit();
      });
    expect(await counted(work)).toEqual(expected);
  });
});

it('takes the lock of exclusive work with BEGIN', async () => {
  const { roundTrips, flights } = await counted(() => engine.exclusive('job', () => save()));
  expect(roundTrips).toBe(3);
  expect(flights[0]).toMatch(/^BEGIN; SELECT CASE .*pg_try_advisory_xact_lock/s);
});

describe('a COPY', () => {
  const copy = 'COPY item (name) FROM STDIN';

  it('leaves in one flight, with BEGIN in front of it in a transaction', async () => {
    const alone = await counted(() => engine.copyFrom(copy, 'a\n'));
    const inside = await counted(() => engine.transaction(() => engine.copyFrom(copy, 'a\n')));
    expect([alone.flights, inside.flights]).toEqual([[copy], [`BEGIN; ${copy}`, 'COMMIT']]);
  });
});

describe('nested transactions of one statement each', () => {
  const expected = {
    roundTrips: 4,
    flights: [
      `BEGIN; SAVEPOINT x; ${insertSql}`,
      `RELEASE SAVEPOINT x; SAVEPOINT x; ${insertSql}`,
      `RELEASE SAVEPOINT x; SAVEPOINT x; ${insertSql}`,
      'COMMIT',
    ],
  };

  it('take k + 1 round trips through engine.transaction', async () => {
    const work = () =>
      engine.transaction(async () => {
        for (let index = 0; index < 3; index += 1) await engine.transaction(() => save());
      });
    expect(await counted(work)).toEqual(expected);
  });

  it('take k + 1 round trips through handles', async () => {
    const work = () =>
      withConnection(async (connection) => {
        const root = await connection.begin();
        for (let index = 0; index < 3; index += 1) {
          const nested = await connection.beginNested();
          await connection.execute(insert, { name: 'a' });
          await nested.commit();
        }
        await root.commit();
      });
    expect(await counted(work)).toEqual(expected);
  });

  it('open on all floors with the innermost statement', async () => {
    const work = () =>
      engine.transaction(() => engine.transaction(() => engine.transaction(async () => void (await save()))));
    expect(await counted(work)).toEqual({
      roundTrips: 2,
      flights: [`BEGIN; SAVEPOINT x; SAVEPOINT x; ${insertSql}`, 'COMMIT'],
    });
  });

  it('send their RELEASE with the next statement of the outer transaction', async () => {
    const work = () =>
      engine.transaction(async () => {
        await engine.transaction(() => save());
        await save();
      });
    expect((await counted(work)).flights).toEqual([
      `BEGIN; SAVEPOINT x; ${insertSql}`,
      `RELEASE SAVEPOINT x; ${insertSql}`,
      'COMMIT',
    ]);
  });
});

describe('a nested transaction that failed', () => {
  const failing = text('SELECT 1 / :divisor::int');
  const swallow = (work: Promise<unknown>) => expect(work).rejects.toMatchObject({ sqlState: '22012' });
  const expected = {
    roundTrips: 4,
    flights: [
      `BEGIN; ${insertSql}`,
      'SAVEPOINT x; SELECT 1 / $1::int',
      'ROLLBACK TO SAVEPOINT x; RELEASE SAVEPOINT x',
      'COMMIT',
    ],
  };

  it('costs one round trip more through engine.transaction', async () => {
    const work = () =>
      engine.transaction(async () => {
        await save();
        await swallow(engine.transaction(() => engine.execute(failing, { divisor: 0 })));
      });
    expect(await counted(work)).toEqual(expected);
  });

  it('costs one round trip more through a handle', async () => {
    const work = () =>
      withConnection(async (connection) => {
        const root = await connection.begin();
        await connection.execute(insert, { name: 'a' });
        await swallow(connection.beginNested(() => connection.execute(failing, { divisor: 0 })));
        await root.commit();
      });
    expect(await counted(work)).toEqual(expected);
  });

  it('leaves the outer transaction usable and stored', async () => {
    await engine.transaction(async () => {
      await save('before');
      await swallow(engine.transaction(() => engine.execute(failing, { divisor: 0 })));
      await save('after');
    });
    expect(await storedNames(database, 'item', 'id')).toEqual(['before', 'after']);
  });
});

describe('nothing is sent and nothing is borrowed', () => {
  const borrowed = async (work: () => Promise<unknown>): Promise<unknown> => {
    const fresh = createAsyncEngine(proxy.url);
    engine = fresh;
    await work();
    return { connections: proxy.connections, messages: proxy.messages.length, idle: fresh.pool.checkedIn() };
  };
  const nothing = { connections: 0, messages: 0, idle: 0 };

  it('by a transaction without statements', async () => {
    expect(await borrowed(() => engine.transaction(() => undefined))).toEqual(nothing);
  });

  it('by nested transactions without statements', async () => {
    expect(await borrowed(() => engine.transaction(() => engine.transaction(() => 1)))).toEqual(nothing);
  });

  it('by a transaction without statements that fails', async () => {
    const failing = () =>
      expect(engine.transaction(() => Promise.reject(new Error('x')))).rejects.toThrow('x');
    expect(await borrowed(failing)).toEqual(nothing);
  });

  it('by a scope without statements', async () => {
    expect(await borrowed(() => engine.scope(() => Promise.resolve()))).toEqual(nothing);
  });

  it('by a scope that hands out its connection and is not asked', async () => {
    const work = () => engine.scope(() => Promise.resolve(engine.currentConnection()));
    expect(await borrowed(work)).toEqual(nothing);
  });

  it('by begin and commit on a started connection', async () => {
    const work = () =>
      withConnection(async (connection) => {
        const transaction = await connection.begin();
        const nested = await connection.beginNested();
        await nested.commit();
        await transaction.commit();
      });
    expect(await counted(work)).toEqual({ roundTrips: 0, flights: [] });
  });
});

describe('executemany', () => {
  const rows = (count: number) => Array.from({ length: count }, (_, index) => ({ name: `n${index}` }));

  it.each([
    [10, 2],
    [1_000, 2],
  ])('of %i rows in a transaction takes one page and the COMMIT', async (count, roundTrips) => {
    const work = () => engine.transaction(async () => void (await engine.execute(insert, rows(count))));
    expect((await counted(work)).roundTrips).toBe(roundTrips);
  });

  it('of one page takes 1 round trip without a transaction', async () => {
    expect((await counted(() => engine.execute(insert, rows(500)))).roundTrips).toBe(1);
  });

  it('parses its text once to learn the types, and the one that it sends, with and without names', async () => {
    await engine.execute(text('SELECT 1'));
    proxy.reset();
    await engine.execute(insert, rows(50));
    await engine.execute(insert, rows(50), { prepare: false });
    const count = (type: string) => proxy.messages.filter((message) => message.type === type).length;
    expect({ parse: count('Parse'), describe: count('Describe'), execute: count('Execute') }).toEqual({
      parse: 3,
      describe: 3,
      execute: 2,
    });
  });

  it('of many pages is stored as a whole or not at all', async () => {
    const sets = [...rows(2_500), { name: null }];
    await expect(engine.execute(insert, sets)).rejects.toMatchObject({ sqlState: '23502' });
    expect(await storedNames(database, 'item', 'id')).toEqual([]);
  });
});

describe('what travels with BEGIN', () => {
  it.each([
    [{ isolationLevel: 'SERIALIZABLE' as const }, 'BEGIN ISOLATION LEVEL SERIALIZABLE'],
    [{ readOnly: false }, 'BEGIN READ WRITE'],
    [{ settings: { 'app.tenant': 'x' } }, 'BEGIN; SELECT set_config($1, $2, TRUE)'],
    [{ lockTimeout: 100 }, 'BEGIN; SELECT set_config($1, $2, TRUE)'],
    [
      { isolationLevel: 'REPEATABLE READ' as const, settings: { 'app.a': '1' }, statementTimeout: 9_000 },
      'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT set_config($1, $2, TRUE), set_config($3, $4, TRUE)',
    ],
  ])('%o', async (options, begin) => {
    const work = () => engine.transaction(async () => void (await save()), options);
    expect(await counted(work)).toEqual({ roundTrips: 2, flights: [`${begin}; ${insertSql}`, 'COMMIT'] });
  });

  it('is in force for the statement that comes with it and gone afterwards', async () => {
    const setting = () => engine.scalar(text("SELECT current_setting('app.tenant', TRUE)"));
    const inside = await engine.transaction(setting, { settings: { 'app.tenant': 'blue' } });
    expect([inside, await setting()]).toEqual(['blue', '']);
  });

  it('makes the transaction read only, from its first statement on', async () => {
    await expect(engine.transaction(() => save(), { readOnly: true })).rejects.toMatchObject({
      sqlState: '25006',
    });
    expect(await storedNames(database, 'item', 'id')).toEqual([]);
  });
});

describe('a BEGIN that fails', () => {
  const refused = { settings: { lock_timeout: 'nonsense' } };

  it('stops the INSERT that travels with it', async () => {
    await expect(engine.transaction(() => save(), refused)).rejects.toMatchObject({ sqlState: '22023' });
    expect(await storedNames(database, 'item', 'id')).toEqual([]);
    expect(await database.sessions()).toMatchObject([{ state: 'idle', xact_start: null }]);
  });

  it('names the statement that failed', async () => {
    await expect(engine.transaction(() => save(), refused)).rejects.toMatchObject({
      statement: 'SELECT set_config($1, $2, TRUE)',
    });
  });

  it('leaves a handle that takes nothing but its rollback', async () => {
    await using connection = await engine.connect();
    const transaction = await connection.begin(refused);
    const execute = () => connection.execute(insert, { name: 'a' });
    await expect(execute()).rejects.toMatchObject({ sqlState: '22023' });
    expect(transaction.state).toBe('failed');
    await expect(execute()).rejects.toMatchObject({ code: 'INTERNAL' });
    await transaction.rollback();
    await execute();
    await connection.commit();
    expect(await storedNames(database, 'item', 'id')).toEqual(['a']);
  });

  it('fails the nested transaction whose first statement came with it, and the outer one', async () => {
    const work = engine.transaction(async () => {
      await expect(engine.transaction(() => save())).rejects.toMatchObject({ sqlState: '22023' });
    }, refused);
    await expect(work).rejects.toMatchObject({ code: 'UNEXPECTED_ROLLBACK' });
    expect(await storedNames(database, 'item', 'id')).toEqual([]);
  });
});
