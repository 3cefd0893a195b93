import {
  CamelCasePlugin,
  Kysely,
  Migrator,
  PostgresDialect,
  sql as kyselySql,
  type Dialect,
  type Migration,
} from 'kysely';
import Cursor from 'pg-cursor';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { IllegalStateError, UniqueViolationError } from 'nest-async-engine/engine';
import type { AsyncEngine, AsyncEngineOptions } from 'nest-async-engine/engine';
import { EngineDialect } from 'nest-async-engine/kysely';
import { asPool } from 'nest-async-engine/pg';
import { failureOf, insert, ItemDatabase, outcomeOf } from '../support/items.js';

interface Tables {
  item: { name: string; place: number | null };
}

let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('kysely');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const dialects = {
  EngineDialect: () => new EngineDialect(engine),
  'PostgresDialect over asPool()': () => new PostgresDialect({ pool: asPool(engine), cursor: Cursor }),
};

const add = (db: Kysely<Tables>, item: string) => db.insertInto('item').values({ name: item, place: null });

function open(makeDialect: () => Dialect, options: AsyncEngineOptions = {}): Kysely<Tables> {
  engine = items.engine(options);
  return new Kysely<Tables>({ dialect: makeDialect() });
}

describe.each(Object.entries(dialects))('Kysely with %s', (_name, makeDialect) => {
  const start = (options?: AsyncEngineOptions): Kysely<Tables> => open(makeDialect, options);

  it('executes, and counts what it has changed', async () => {
    const db = start();
    expect(await add(db, 'one').executeTakeFirst()).toMatchObject({ numInsertedOrUpdatedRows: 1n });
    expect(await db.selectFrom('item').select('name').execute()).toEqual([{ name: 'one' }]);
    expect(await db.updateTable('item').set({ place: 1 }).executeTakeFirst()).toMatchObject({
      numUpdatedRows: 1n,
    });
    expect(await db.deleteFrom('item').executeTakeFirst()).toMatchObject({ numDeletedRows: 1n });
  });

  it('has transactions of its own', async () => {
    const db = start();
    await db
      .transaction()
      .setIsolationLevel('serializable')
      .execute(async (inner) => void (await add(inner, 'kept').execute()));
    const undone = db.transaction().execute(async (inner) => {
      await add(inner, 'undone').execute();
      throw new RangeError('mine');
    });
    expect([await outcomeOf(undone), await items.names()]).toEqual([RangeError, ['kept']]);
  });

  it.each(['commit', 'rollback'] as const)('is part of the %s of the engine', async (end) => {
    const db = start();
    const work = engine.transaction(async () => {
      await add(db, 'one').execute();
      await db.transaction().execute(async (inner) => void (await add(inner, 'two').execute()));
      await failureOf(
        db.transaction().execute(async (inner) => {
          await add(inner, 'undone').execute();
          throw new Error('undone');
        }),
      );
      await engine.execute(insert('three'));
      if (end === 'rollback') throw new RangeError('mine');
    });
    expect(await outcomeOf(work)).toBe(end === 'commit' ? undefined : RangeError);
    expect(await items.names()).toEqual(end === 'commit' ? ['one', 'three', 'two'] : []);
  });

  it.each(['alone', 'inside'])('has controlled transactions with savepoints, %s', async (where) => {
    const db = start();
    const work = async (): Promise<void> => {
      const controlled = await db.startTransaction().execute();
      await add(controlled, 'one').execute();
      const saved = await controlled.savepoint('here').execute();
      await add(saved, 'undone').execute();
      await failureOf(add(saved, 'undone').execute());
      await saved.rollbackToSavepoint('here').execute();
      await add(saved, 'two').execute();
      await saved.releaseSavepoint('here').execute();
      await controlled.commit().execute();
    };
    await (where === 'alone' ? work() : engine.transaction(work));
    expect(await items.names()).toEqual(['one', 'two']);
  });

  it('keeps one session for connection()', async () => {
    const db = start({ poolSize: 3 });
    await db.connection().execute(async (single) => {
      await kyselySql`SET application_name = 'mine'`.execute(single);
      await add(single, 'one').execute();
      await single.transaction().execute(async (inner) => void (await add(inner, 'two').execute()));
      const { rows } = await kyselySql<{
        name: string;
      }>`SELECT current_setting('application_name') AS name`.execute(single);
      expect(rows).toEqual([{ name: 'mine' }]);
    });
    expect(await items.names()).toEqual(['one', 'two']);
  });

  it('runs plugins', async () => {
    const db = start().withPlugin(new CamelCasePlugin());
    const { rows } = await kyselySql`SELECT 1 AS some_number`.execute(db);
    expect(rows).toEqual([{ someNumber: 1 }]);
  });

  it.each(['alone', 'inside', 'in its own transaction'])('streams, %s', async (where) => {
    const db = start({ poolSize: 2 });
    await kyselySql`INSERT INTO item (name) SELECT 'n' || n FROM generate_series(100, 350) n`.execute(db);
    const read = async (own: Kysely<Tables>): Promise<void> => {
      let count = 0;
      for await (const row of own.selectFrom('item').select('name').stream(50)) {
        if (count === 0) expect(row.name).toMatch(/^n/);
        count += 1;
      }
      expect(count).toBe(251);
      for await (const _ of own.selectFrom('item').select('name').stream(10)) break;
    };
    if (where === 'alone') await read(db);
    else if (where === 'inside') await engine.transaction(() => read(db));
    else await db.transaction().execute(read);
  });

  it('migrates', async () => {
    const db = start();
    const migrations: Record<string, Migration> = {
      '1': { up: (own) => own.schema.createTable('migrated').addColumn('a', 'integer').execute() },
      '2': { up: (own) => own.schema.alterTable('migrated').addColumn('b', 'integer').execute() },
    };
    const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
    const { error, results } = await migrator.migrateToLatest();
    expect([error, results?.map(({ status }) => status)]).toEqual([undefined, ['Success', 'Success']]);
    expect((await db.introspection.getTables()).map((table) => table.name)).toContain('migrated');
    await kyselySql`DROP TABLE migrated, kysely_migration, kysely_migration_lock`.execute(db);
  });

  it('leaves the engine open when it is destroyed', async () => {
    const db = start();
    await db.selectFrom('item').selectAll().execute();
    await db.destroy();
    expect(await engine.scalar({ text: 'SELECT 1 AS a' })).toBe(1);
  });

  it('keeps nothing and mixes nothing with 100 callers', async () => {
    const db = start({ poolSize: 4, poolMaxWaiting: 1_000 });
    await Promise.all(
      Array.from({ length: 100 }, (_, index) => {
        const work = async (): Promise<void> =>
          await db.transaction().execute(async (inner) => {
            await add(inner, `n${index}`).execute();
            if (index % 3 === 0) throw new Error('undone');
          });
        return (index % 2 === 0 ? engine.transaction(work) : work()).catch(() => undefined);
      }),
    );
    const kept = Array.from({ length: 100 }, (_, index) => index).filter((index) => index % 3 !== 0);
    expect(await items.names()).toEqual(kept.map((index) => `n${index}`).sort());
  });
});

describe('EngineDialect', () => {
  it('lets other statements run while a stream is read, in the same transaction', async () => {
    const db = open(dialects.EngineDialect);
    await engine.transaction(async () => {
      await add(db, 'one').execute();
      await add(db, 'two').execute();
      for await (const row of db.selectFrom('item').select('name').stream(1)) {
        await engine.execute(insert(`${row.name}!`));
        await add(db, `${row.name}?`).execute();
      }
    });
    expect(await items.names()).toEqual(['one', 'one!', 'one?', 'two', 'two!', 'two?']);
  });

  it("throws the engine's errors and gives its values", async () => {
    const db = open(dialects.EngineDialect);
    await add(db, 'one').execute();
    expect(await outcomeOf(add(db, 'one').execute())).toBe(UniqueViolationError);
    const { rows } = await kyselySql`SELECT DATE '2024-02-29' AS d, 1::int8 AS n`.execute(db);
    expect(rows).toEqual([{ d: '2024-02-29', n: '1' }]);
  });

  it('refuses a savepoint that is not there', async () => {
    const db = open(dialects.EngineDialect);
    const controlled = await db.startTransaction().execute();
    const saved = await controlled.savepoint('a').execute();
    await saved.releaseSavepoint('a').execute();
    expect(await outcomeOf(saved.rollbackToSavepoint('a').execute())).toBe(IllegalStateError);
    await controlled.rollback().execute();
  });
});
