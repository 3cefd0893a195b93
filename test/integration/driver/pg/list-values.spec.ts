import { createAsyncEngine, sql, StatementError, text, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

const REFUSED = /\$1 cannot be sent: it is a list, and its place takes one value\. Write = ANY\(…\)/;

let database: TestDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase('list_values');
  engine = createAsyncEngine(database.url);
  await engine.execute(text('CREATE DOMAIN word AS text'));
  await engine.execute(text("CREATE TYPE mood AS ENUM ('sad', 'ok')"));
  await engine.execute(
    text(`CREATE TABLE item (
      name text, short varchar(20), fixed char(9), domain word, mood mood, id int, code uuid, document tsvector,
      markup xml, names text[], boxes box[], data jsonb
    )`),
  );
});
afterAll(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
  await database.drop();
});
beforeEach(async () => {
  await engine.execute(text('TRUNCATE item'));
  await engine.execute(text("INSERT INTO item (name, id) VALUES ('a', 1), ('b', 2)"));
});

const count = () => engine.scalar<number>(sql`SELECT count(*)::int FROM item`);

it.each(['name', 'short', 'fixed', 'domain', 'mood', 'id', 'code', 'document', 'markup'])(
  'a list is refused where a column of one value is, and not compared or stored as its text: %s',
  async (column) => {
    const place = sql.id(column);
    const list = ['a', 'b'];
    await expect(engine.execute(sql`SELECT FROM item WHERE ${place}::text IN (${list})`)).rejects.toThrow(
      REFUSED,
    );
    await expect(engine.execute(sql`INSERT INTO item (${place}) VALUES (${list})`)).rejects.toThrow(REFUSED);
    expect(await count()).toBe(2);
  },
);

it('NOT IN with a list deletes nothing, and says what to write', async () => {
  const names = ['a', 'b'];
  const failure = engine.execute(sql`DELETE FROM item WHERE name NOT IN (${names})`);
  await expect(failure).rejects.toThrow(/<> ALL\(…\) in place of NOT IN/);
  await expect(failure).rejects.toBeInstanceOf(StatementError);
  expect(await count()).toBe(2);
  await engine.execute(sql`DELETE FROM item WHERE name <> ALL(${names})`);
  expect(await count()).toBe(2);
});

it('the transaction goes on behind a list that was refused, since nothing was sent of it', async () => {
  await engine.transaction(async () => {
    await engine.execute(sql`INSERT INTO item (name) VALUES ('c')`);
    await expect(engine.execute(sql`SELECT FROM item WHERE name IN (${['a']})`)).rejects.toThrow(REFUSED);
    await engine.execute(sql`INSERT INTO item (name) VALUES ('d')`);
  });
  expect(await count()).toBe(4);
});

it('a batch, a stream of named values and the sets of an UPDATE refuse the list, too', async () => {
  const named = text('SELECT name FROM item WHERE name IN (:names)');
  const update = text('UPDATE item SET mood = NULL WHERE name = :name');
  await expect(engine.stream(named, { names: ['a', 'b'] }).all()).rejects.toThrow(REFUSED);
  await expect(engine.batch([sql`SELECT 1 WHERE 'a' IN (${['a']})`])).rejects.toThrow(REFUSED);
  await expect(engine.execute(update, [{ name: 'a' }, { name: ['b'] }])).rejects.toThrow(REFUSED);
});

it('arrays, also those without commas between their elements, and JSON take lists', async () => {
  const stored = await engine
    .execute(
      sql`INSERT INTO item (names, boxes, data) VALUES (${['a', 'b']}, ${['(1,1),(0,0)']}, ${['a', 1]})
          RETURNING names, boxes::text AS boxes, data`,
    )
    .one();
  expect(stored).toEqual({ names: ['a', 'b'], boxes: '{(1,1),(0,0)}', data: ['a', 1] });
  expect(await engine.scalars(sql`SELECT name FROM item WHERE name = ANY(${['b', 'z']})`).all()).toEqual([
    'b',
  ]);
});

it('a column that another program made an array takes the list at the next call', async () => {
  const other = createAsyncEngine(database.url);
  await engine.execute(text('CREATE TABLE tagged (tags text)'));
  const insert = text('INSERT INTO tagged (tags) VALUES (:tags)');
  await engine.connect(async (connection) => {
    const one = () => connection.execute(insert, { tags: ['a'] });
    const many = () => connection.execute(insert, [{ tags: ['b'] }, { tags: ['c'] }]);
    await expect(one()).rejects.toThrow(REFUSED);
    await expect(many()).rejects.toThrow(REFUSED);
    await connection.rollback();
    await other.execute(text('ALTER TABLE tagged ALTER tags TYPE text[] USING ARRAY[tags]'));
    await one();
    await many();
    await connection.commit();
  });
  expect(await engine.scalars(sql`SELECT tags FROM tagged`).all()).toEqual([['a'], ['b'], ['c']]);
  await other.aclose();
});
