import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  bindparam,
  IntegrityError,
  ResourceClosedError,
  StatementError,
  text,
} from 'nest-async-engine/engine';
import type { AsyncConnection } from 'nest-async-engine/engine';
import { failureOf } from '../support/items.js';
import { insertUser, selectUsers, UsersTable } from './support/users.js';

// What upstream's own suite leaves open, and what is decided here: section 9 of the behaviour catalogue.
let users: UsersTable;
beforeAll(async () => {
  users = await UsersTable.open('open_questions');
});
afterEach(() => users.expectClean());
afterAll(() => users.close());

const insertMany = text('INSERT INTO users VALUES (:id, :name)');

async function withConnection(work: (connection: AsyncConnection) => Promise<void>): Promise<void> {
  await users.engine().connect(work);
}

describe('binds', () => {
  it('X-16: a missing value is refused before anything is begun or sent', async () => {
    const statements = await users.wire((engine) =>
      engine.connect(async (connection) => {
        const failure = await failureOf(connection.execute(text('SELECT :id::int4')));
        expect(failure).toBeInstanceOf(StatementError);
        expect(String(failure)).toContain('id');
        expect(connection.inTransaction()).toBe(false);
      }),
    );
    expect(statements).toEqual([]);
  });

  it.each([0, 1])(
    'X-17: a missing value of a list is refused, whichever set lacks it: %d',
    async (lacking) => {
      const sets: Record<string, unknown>[] = [
        { id: 1, name: 'one' },
        { id: 2, name: 'two' },
      ];
      delete sets[lacking]?.['name'];
      const failure = await failureOf(users.engine().execute(insertMany, sets));
      expect(failure).toBeInstanceOf(StatementError);
      expect(String(failure)).toContain(
        `':name' has no value${lacking === 0 ? '.' : ' in parameter set 1.'}`,
      );
      expect(await users.count()).toBe(0);
    },
  );

  it('X-18: :x::int is a bind with a cast (9.14)', () =>
    withConnection(async (connection) => {
      for (const sql of [
        'SELECT :x::int4',
        'SELECT (:x)::int4',
        'SELECT :x ::int4',
        'SELECT CAST(:x AS int4)',
      ])
        expect(await connection.scalar(text(sql), { x: 7 })).toBe(7);
    }));

  it('X-19: a colon in a literal is no bind (9.14), and a backslash makes one plain', () =>
    withConnection(async (connection) => {
      expect(await connection.scalar(text(`SELECT '{"a":1}'`))).toBe('{"a":1}');
      expect(await connection.scalar(text(`SELECT '{"a"\\:1}'`))).toBe('{"a":1}');
    }));

  it('X-21: the same SQL first without, then with expanding (9.6)', () =>
    withConnection(async (connection) => {
      const sql = 'SELECT 2 IN (:ids)';
      expect(await connection.scalar(text(sql), { ids: 2 })).toBe(true);
      const expanding = text(sql).bindparams(bindparam('ids', { expanding: true }));
      expect(await connection.scalar(expanding, { ids: [1, 2, 3] })).toBe(true);
    }));
});

describe('an executemany', () => {
  it('X-22: stores all sets or none, at AUTOCOMMIT too', async () => {
    const sets = [1, 2, 3, 1].map((id, index) => ({ id, name: `name ${index}` }));
    await users.engine({ isolationLevel: 'AUTOCOMMIT' }).connect(async (connection) => {
      expect(await failureOf(connection.execute(insertMany, sets))).toBeInstanceOf(IntegrityError);
      expect(await users.count()).toBe(0);
    });
  });
});

describe('results', () => {
  it.each(['first', 'scalar', 'oneOrNone'] as const)(
    'X-23: %s() of an empty one gives nothing and closes it',
    (question) =>
      withConnection(async (connection) => {
        const result = await connection.execute(selectUsers);
        expect(result[question]()).toBeUndefined();
        expect(result.closed).toBe(true);
      }),
  );

  it('X-23: fetchOne() of an empty one gives nothing and leaves it open', () =>
    withConnection(async (connection) => {
      const result = await connection.execute(selectUsers);
      expect(result.fetchOne()).toBeUndefined();
      expect(result.closed).toBe(false);
    }));

  it('X-24: of two columns of one name the last wins by name, and positions stay exact', () =>
    withConnection(async (connection) => {
      const ask = () => connection.execute(text('SELECT 1 AS a, 2 AS a'));
      expect(await ask().one()).toEqual({ a: 2 });
      expect((await ask()).mappings().one()).toEqual({ a: 2 });
      expect((await ask()).keys()).toEqual(['a', 'a']);
      expect((await ask()).tuples().one()).toEqual([1, 2]);
    }));

  it('X-25: of an INSERT has a row count and refuses questions for rows', () =>
    withConnection(async (connection) => {
      const result = await connection.execute(insertUser(1));
      expect([result.returnsRows, result.closed, result.rowCount]).toEqual([false, false, 1]);
      const mappings = result.mappings();
      for (const question of [
        () => result.all(),
        () => result.first(),
        () => result.fetchOne(),
        () => result.fetchMany(2),
        () => mappings.all(),
      ]) {
        expect(question).toThrow(ResourceClosedError);
      }
    }));
});
