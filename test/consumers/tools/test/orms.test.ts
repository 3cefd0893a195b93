import pg from 'pg';
import { EntitySchema as MikroSchema, MikroORM } from '@mikro-orm/postgresql';
import { PostgreSqlKnexDialect } from '@mikro-orm/knex';
import { PrismaPg } from '@prisma/adapter-pg';
import { DataSource, EntitySchema } from 'typeorm';
import { asPool } from 'nest-async-engine/pg';
import { knexOver } from './knex-client.js';
import { describeTool, undone } from './tool.js';

interface Item {
  id?: number;
  name: string;
}

describeTool('TypeORM', async ({ engine }) => {
  const Item = new EntitySchema<Item>({
    name: 'item',
    columns: { id: { type: Number, primary: true, generated: true }, name: { type: String } },
  });
  // It calls `new driver.Pool()`.
  const driver = {
    ...pg,
    Pool: function PoolOfEngine() {
      return asPool(engine);
    },
  };
  const source = await new DataSource({ type: 'postgres', driver, entities: [Item] }).initialize();
  return {
    store: (name) => source.getRepository(Item).save({ name }),
    undo: (name) =>
      undone((undo) =>
        source.transaction(async (manager) => {
          await manager.getRepository(Item).save({ name });
          undo();
        }),
      ),
    close: () => source.destroy(),
  };
});

describeTool('MikroORM', async ({ pool }) => {
  const Item = new MikroSchema<Item>({
    name: 'Item',
    tableName: 'item',
    properties: { id: { type: 'number', primary: true, autoincrement: true }, name: { type: 'string' } },
  });
  const orm = await MikroORM.init({
    entities: [Item],
    dbName: 'unused',
    driverOptions: knexOver(pool, PostgreSqlKnexDialect as never),
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

describeTool("Prisma's adapter-pg", async ({ pool }) => {
  const adapter = await new PrismaPg(pool).connect();
  const insert = (name: string) =>
    ({
      sql: 'INSERT INTO item (name) VALUES ($1)',
      args: [name],
      argTypes: [{ scalarType: 'string', arity: 'scalar' }],
    }) as never;
  const transact = async (name: string, end: 'commit' | 'rollback'): Promise<void> => {
    const transaction = await adapter.startTransaction();
    // Prisma's engine sends COMMIT and ROLLBACK itself, where the adapter says so.
    const isOurs = transaction.options.usePhantomQuery === false;
    await transaction.executeRaw(insert(name));
    if (isOurs) await transaction.executeRaw({ sql: end.toUpperCase(), args: [], argTypes: [] });
    await transaction[end]();
  };
  return {
    store: (name) => transact(name, 'commit'),
    undo: (name) => transact(name, 'rollback'),
    close: () => adapter.dispose(),
  };
});
