import { EntitySchema, MikroORM } from '@mikro-orm/postgresql';
import { PrismaPg } from '@prisma/adapter-pg';
import { createAsyncEngine, sql } from 'nest-async-engine/engine';
import { EngineDialect } from 'nest-async-engine/kysely';
import { asPool } from 'nest-async-engine/pg';
import { createTestDatabase } from 'nest-async-engine/testing';
import { describe, expect, it } from 'vitest';
import { PrismaClient } from '../generated/client.js';
import { describeTool, undone } from './tool.js';

interface Item {
  id?: number;
  name: string;
}

describeTool('MikroORM 7', async ({ engine }) => {
  const Item = new EntitySchema<Item>({
    name: 'Item',
    tableName: 'item',
    properties: { id: { type: 'number', primary: true, autoincrement: true }, name: { type: 'string' } },
  });
  const orm = await MikroORM.init({
    entities: [Item],
    dbName: engine.url.database,
    driverOptions: new EngineDialect(engine),
  });
  return {
    store: (name) => orm.em.fork().transactional(async (em) => void em.create(Item, { name })),
    undo: (name) =>
      undone((undo) =>
        orm.em.fork().transactional(async (em) => {
          em.create(Item, { name });
          await em.flush();
          undo();
        }),
      ),
    close: () => orm.close(true),
  };
});

/** How long one of 300 callers may wait for its turn. */
const PATIENCE = { maxWait: 60_000, timeout: 60_000 };

describeTool("Prisma's client", async ({ pool }) => {
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool), transactionOptions: PATIENCE });
  return {
    store: (name) => prisma.item.create({ data: { name } }),
    undo: (name) =>
      undone((undo) =>
        prisma.$transaction(async (inner) => {
          await inner.item.create({ data: { name } });
          undo();
        }),
      ),
    close: () => prisma.$disconnect(),
  };
});

/** Five transactions at once, each of which asks for the row that it has stored itself. */
async function askedAtOnce(ask: (prisma: PrismaClient, name: string) => Promise<Item | null>) {
  await using database = await createTestDatabase();
  await using engine = createAsyncEngine(database.url);
  await engine.execute(sql`CREATE TABLE item (id serial PRIMARY KEY, name text NOT NULL UNIQUE)`);
  const prisma = new PrismaClient({ adapter: new PrismaPg(asPool(engine)), transactionOptions: PATIENCE });
  let stored = 0;
  let resolve = (): void => undefined;
  const allHaveStored = new Promise<void>((done) => (resolve = done));
  const found = await Promise.all(
    NAMES.map((name) =>
      engine.transaction(async () => {
        await prisma.item.create({ data: { name } });
        if (++stored === NAMES.length) resolve();
        await allHaveStored;
        return (await ask(prisma, name))?.name;
      }),
    ),
  );
  await prisma.$disconnect();
  return found;
}

const NAMES = Array.from({ length: 5 }, (_, index) => `own ${index}`);

describe('transactions at once over one client of Prisma', () => {
  it('see by findFirst() what is their own', async () => {
    expect(await askedAtOnce((prisma, name) => prisma.item.findFirst({ where: { name } }))).toEqual(NAMES);
  });

  it('see by findUnique() in a $transaction() what is their own', async () => {
    const found = await askedAtOnce((prisma, name) =>
      prisma.$transaction((inner) => inner.item.findUnique({ where: { name } })),
    );
    expect(found).toEqual(NAMES);
  });

  it('are mixed up by findUnique(): those of one turn are one query of Prisma, in the transaction of the first', async () => {
    const found = await askedAtOnce((prisma, name) => prisma.item.findUnique({ where: { name } }));
    expect(found.filter((name) => name === undefined)).toHaveLength(NAMES.length - 1);
  });
});
