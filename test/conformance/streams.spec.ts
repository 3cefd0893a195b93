import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ConnectionLostError,
  MultipleResultsFoundError,
  NoResultFoundError,
  ResourceClosedError,
  text,
} from 'nest-async-engine/engine';
import type { AsyncConnection, AsyncEngine, AsyncResult, StatementOptions } from 'nest-async-engine/engine';
import { startFaultyProxy } from '../support/server/faulty-proxy.js';
import { failureOf } from '../support/items.js';
import { nameOf, selectUsers, USERS, UsersTable } from './support/users.js';
import type { User } from './support/users.js';

let users: UsersTable;
let connection: AsyncConnection;
beforeAll(async () => {
  users = await UsersTable.open('streams', 19);
});
beforeEach(async () => {
  connection = await users.engine().connect();
});
afterEach(async () => {
  await connection.close();
  await users.expectClean();
});
afterAll(() => users.close());

const NAMES = USERS.map(({ user_name: name }) => name);
const selectFirst = text<User>('SELECT user_id, user_name FROM users ORDER BY user_name LIMIT 1');
const crossed = text('SELECT a.user_id FROM users a CROSS JOIN users b');
const hundred = text<{ n: number }>('SELECT generate_series(1, 100)::int4 AS n');

const streamed = (options?: StatementOptions): AsyncResult<User> =>
  connection.stream(selectUsers, undefined, options);

/** The numbers of rows in the answers to the fetches that `work` makes. */
async function fetches(work: (engine: AsyncEngine) => Promise<unknown>): Promise<number[]> {
  await using proxy = await startFaultyProxy(users.database.url);
  const far = users.engine({}, proxy.url);
  await work(far);
  await far.dispose();
  const sizes = [0];
  for (const { type } of proxy.messages) {
    if (type === 'DataRow') sizes.push((sizes.pop() ?? 0) + 1);
    if (type === 'PortalSuspended') sizes.push(0);
  }
  return sizes.filter((size) => size > 0);
}

async function gathered<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const row of rows) all.push(row);
  return all;
}

describe('a stream', () => {
  it('AE-73: is open in its block and closed behind it', async () => {
    let result: AsyncResult<User>;
    {
      await using rows = streamed();
      result = rows;
      const reading = async (): Promise<void> => {
        let seen = 0;
        for await (const _ of rows) if ((seen += 1) === 4) throw new RangeError('enough');
      };
      expect(rows.closed).toBe(false);
      await expect(reading()).rejects.toThrow('enough');
    }
    expect(result.closed).toBe(true);
  });

  it('X-01: is closed, too, when the block is left by an error (9.1)', async () => {
    let result: AsyncResult<User> | undefined;
    const block = async (): Promise<void> => {
      await using rows = streamed({ yieldPer: 2 });
      result = rows;
      await rows.fetchOne();
      throw new RangeError('left');
    };
    await expect(block()).rejects.toThrow('left');
    expect(result?.closed).toBe(true);
    expect(await connection.scalar(text('SELECT count(*)::int4 FROM pg_cursors'))).toBe(1);
  });

  it('AE-75: all() gives the rows', async () => {
    expect(await streamed().all()).toEqual(USERS);
    expect(await streamed().tuples().all()).toEqual(NAMES.map((name, index) => [index + 1, name]));
  });

  it('AE-77: mappings().all() gives them by column name', async () => {
    expect(await streamed().mappings().all()).toEqual(USERS);
  });

  it('AE-79: scalars(1) is iterable', async () => {
    expect(await gathered(streamed().scalars(1))).toEqual(NAMES);
  });

  it('AE-80: streamScalars() is iterable', async () => {
    const names = connection.streamScalars<string>(text('SELECT user_name FROM users ORDER BY user_id'));
    expect(await gathered(names)).toEqual(NAMES);
  });

  it('AE-81: mappings() is iterable', async () => {
    expect(await gathered(streamed().mappings())).toEqual(USERS);
  });

  // The names are the server's answer to a statement that was not sent before the question.
  it('AE-83: mappings().keys() are the names of the columns', async () => {
    const rows = streamed().mappings();
    expect(connection.inTransaction()).toBe(false);
    expect(await rows.keys()).toEqual(['user_id', 'user_name']);
    await rows.close();
  });

  it('AE-84: unique() leaves out repetitions', async () => {
    const twice = text('SELECT * FROM users UNION ALL SELECT * FROM users ORDER BY user_id');
    expect(await connection.stream(twice).unique().all()).toEqual(USERS);
  });

  it('AE-85: columns(1) keeps one column', async () => {
    expect(await streamed().columns(1).all()).toEqual(NAMES.map((name) => ({ user_name: name })));
  });

  it('X-03: columns() holds for the mappings made of it (9.2)', async () => {
    expect(await streamed().columns('user_name').mappings().first()).toEqual({ user_name: nameOf(1) });
  });

  it('X-04: freeze() gives its rows as often as they are asked for (9.3)', async () => {
    const frozen = await streamed().freeze();
    expect([frozen().all(), frozen().all()]).toEqual([USERS, USERS]);
  });
});

describe('partitions of a stream', () => {
  const forms = {
    rows: (rows: AsyncResult<User>) => rows,
    'scalars(1)': (rows: AsyncResult<User>) => rows.scalars(1),
    mappings: (rows: AsyncResult<User>) => rows.mappings(),
  } as const;

  const sizes = (size: number): number[] =>
    Array.from({ length: Math.ceil(19 / size) }, (_, index) => Math.min(size, 19 - size * index));

  for (const [form, view] of Object.entries(forms)) {
    const expected = form === 'scalars(1)' ? NAMES : USERS;

    for (const [id, size] of [
      ['AE-87', 2],
      ['AE-88', 5],
    ] as const) {
      it(`${id}: yieldPer(${size}) of the result, ${form}`, async () => {
        const lists = await gathered<unknown[]>(view(streamed()).yieldPer(size).partitions());
        expect(lists.map(({ length }) => length)).toEqual(sizes(size));
        expect(lists.flat()).toEqual(expected);
      });
    }

    it(`AE-90: partitions(5), ${form}`, async () => {
      const lists = await gathered<unknown[]>(view(streamed()).partitions(5));
      expect(lists.map(({ length }) => length)).toEqual([5, 5, 5, 4]);
      expect(lists.flat()).toEqual(expected);
    });

    for (const [id, size] of [
      ['AE-91', 2],
      ['AE-92', 5],
      ['AE-93', 10],
    ] as const) {
      it(`${id}: the option yieldPer ${size}, ${form}`, async () => {
        const lists = await gathered<unknown[]>(view(streamed({ yieldPer: size })).partitions());
        expect(lists.map(({ length }) => length)).toEqual(sizes(size));
        expect(lists.flat()).toEqual(expected);
      });
    }
  }

  // SQLAlchemy's tests look at the size of a buffer. The rows of each fetch are seen on the wire.
  it.each<[string, StatementOptions, (rows: AsyncResult) => AsyncIterable<unknown>, number[]]>([
    ['AE-87', {}, (rows) => rows.yieldPer(2).partitions(), [2, 2, 2, 2, 2, 2, 2, 2, 2, 1]],
    ['AE-88', {}, (rows) => rows.yieldPer(5).partitions(), [5, 5, 5, 4]],
    ['AE-91', { yieldPer: 2 }, (rows) => rows.partitions(), [2, 2, 2, 2, 2, 2, 2, 2, 2, 1]],
    ['AE-92', { yieldPer: 5 }, (rows) => rows.scalars(1), [5, 5, 5, 4]],
    ['AE-93', { yieldPer: 10 }, (rows) => rows.mappings().partitions(), [10, 9]],
  ])('%s: %o is the number of rows of a fetch', async (_, options, read, fetched) => {
    const rows = text('SELECT user_id, user_name FROM users');
    const seen = await fetches((engine) => gathered(read(engine.stream(rows, undefined, options))));
    expect(seen).toEqual(fetched);
  });

  it('AE-90: without a number a fetch has 1,000 rows, the first one too', async () => {
    const many = text('SELECT generate_series(1, 2500)::int4');
    const read = (engine: AsyncEngine): Promise<unknown[]> => gathered(engine.stream(many).partitions(5));
    expect(await fetches(read)).toEqual([1_000, 1_000, 500]);
  });

  it('X-05: the option yieldPer 7 over 100 rows gives 14 lists of 7 and one of 2 (9.4)', async () => {
    const lists = await gathered(connection.stream(hundred, undefined, { yieldPer: 7 }).partitions());
    expect(lists.map(({ length }) => length)).toEqual([...Array.from({ length: 14 }, () => 7), 2]);
  });
});

describe('questions for one row', () => {
  it('AE-94: one() is the only row', async () => {
    expect(await connection.stream(selectFirst).one()).toEqual({ user_id: 1, user_name: 'name1' });
  });

  it('AE-95: scalars().one() is its first column', async () => {
    expect(await connection.stream(selectFirst).scalars().one()).toBe(1);
  });

  it('AE-97: one() without a row is refused', async () => {
    const none = connection.stream(text('SELECT * FROM users WHERE user_id = 0'));
    expect(await failureOf(none.one())).toBeInstanceOf(NoResultFoundError);
  });

  it('AE-97: one() of several rows is refused, and the stream closed', async () => {
    const rows = streamed();
    expect(await failureOf(rows.one())).toBeInstanceOf(MultipleResultsFoundError);
    expect(rows.closed).toBe(true);
  });

  it('AE-105: scalarOne() is the first column of the only row', async () => {
    expect(await connection.stream(selectFirst).scalarOne()).toBe(1);
  });

  it('AE-106: scalarOneOrNone() too', async () => {
    expect(await connection.stream(selectFirst).scalarOneOrNone()).toBe(1);
  });
});

describe('a stream that is read in parts', () => {
  const forms = {
    'AE-101: stream()': () => connection.stream(crossed),
    'AE-102: streamScalars()': () => connection.streamScalars(crossed),
  } as const;
  for (const [name, open] of Object.entries(forms)) {
    it(`${name}: fetchMany() of 5, 10 and 7, then the other 339`, async () => {
      const rows = open();
      const lengths: number[] = [];
      for (const size of [5, 10, 7]) lengths.push((await rows.fetchMany(size)).length);
      lengths.push((await rows.fetchAll()).length);
      expect(lengths).toEqual([5, 10, 7, 339]);
    });
  }

  // SQLAlchemy fills a growing buffer: 1, 5, 25, 125. Here each fetch has the size asked for; one is made ahead.
  it('X-06: is fetched maxRowBuffer rows at a time', async () => {
    const read = (engine: AsyncEngine): Promise<unknown[]> =>
      gathered(engine.stream(hundred, undefined, { maxRowBuffer: 10 }));
    expect(await fetches(read)).toEqual(Array.from({ length: 10 }, () => 10));
  });
});

describe('close() of a result', () => {
  it('AE-103: of a stream right after its statement', async () => {
    const rows = await streamed({ yieldPer: 2 }).open();
    await rows.close();
    expect(await failureOf(rows.all())).toBeInstanceOf(ResourceClosedError);
  });

  it('AE-104: of a buffered result right after its statement', async () => {
    const rows = await connection.execute(selectUsers);
    rows.close();
    expect(() => rows.all()).toThrow(ResourceClosedError);
  });
});

describe('a stream whose connection is lost', () => {
  it('9.5: fails with an error of the tree', async () => {
    const rows = connection.stream(hundred, undefined, { yieldPer: 2 });
    await rows.fetchOne();
    await users.kill(connection.pooled?.session.processId);
    const failure = await failureOf(rows.all());
    expect(failure).toBeInstanceOf(ConnectionLostError);
    expect(connection.invalidated).toBe(true);
  });
});
