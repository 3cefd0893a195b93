import { drizzle } from 'drizzle-orm/node-postgres';
import { pgTable, serial, text } from 'drizzle-orm/pg-core';
import { Kysely, PostgresDialect } from 'kysely';
import Cursor from 'pg-cursor';
import { EngineDialect } from 'nest-async-engine/kysely';
import { describeTool, undone, type Tool } from './tool.js';
import { knexOver } from './knex-client.js';

interface Tables {
  item: { name: string };
}

function kyselyTool(db: Kysely<Tables>): Tool {
  const insert = (own: Kysely<Tables>, name: string) => own.insertInto('item').values({ name }).execute();
  return {
    store: (name) => db.transaction().execute((inner) => insert(inner, name)),
    undo: (name) =>
      undone((undo) =>
        db.transaction().execute(async (inner) => {
          await insert(inner, name);
          undo();
        }),
      ),
    close: () => db.destroy(),
  };
}

describeTool('Kysely, EngineDialect', async ({ engine }) =>
  kyselyTool(new Kysely<Tables>({ dialect: new EngineDialect(engine) })),
);

describeTool('Kysely, PostgresDialect', async ({ pool }) =>
  kyselyTool(new Kysely<Tables>({ dialect: new PostgresDialect({ pool, cursor: Cursor }) })),
);

describeTool('Drizzle', async ({ pool }) => {
  const item = pgTable('item', { id: serial(), name: text() });
  const db = drizzle(pool);
  return {
    store: (name) => db.transaction(async (inner) => await inner.insert(item).values({ name })),
    undo: (name) =>
      undone((undo) =>
        db.transaction(async (inner) => {
          await inner.insert(item).values({ name });
          await inner.transaction(async (nested) => await nested.insert(item).values({ name: `${name}!` }));
          undo();
        }),
      ),
  };
});

describeTool('Knex', async ({ pool }) => {
  const db = knexOver(pool);
  return {
    store: (name) => db.transaction(async (inner) => await inner('item').insert({ name })),
    undo: (name) =>
      undone((undo) =>
        db.transaction(async (inner) => {
          await inner('item').insert({ name });
          undo();
        }),
      ),
    close: () => db.destroy(),
  };
});
