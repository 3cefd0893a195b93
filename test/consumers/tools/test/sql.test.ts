import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { sql as typed } from '@pgtyped/runtime';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import QueryStream from 'pg-query-stream';
import * as zapatos from 'zapatos/db';
import { expect } from 'vitest';
import { describeTool, undone } from './tool.js';

describeTool('pg-copy-streams', async ({ pool }) => {
  const store = async (name: string): Promise<void> => {
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      await pipeline(Readable.from([`${name}\n`]), client.query(copyFrom('COPY item (name) FROM STDIN')));
      const rows: string[] = [];
      for await (const chunk of client.query(
        copyTo(`COPY (SELECT name FROM item WHERE name = '${name}') TO STDOUT`),
      ))
        rows.push(String(chunk));
      expect(rows.join('')).toBe(`${name}\n`);
      await client.query(name.startsWith('undone') ? 'ROLLBACK' : 'COMMIT');
    } finally {
      client.release();
    }
  };
  // The names that our transaction undoes begin so, too: there, COMMIT and ROLLBACK come to the same.
  return { store, undo: store };
});

describeTool('pg-query-stream', async ({ pool }) => ({
  store: async (name) => {
    const client = await pool.connect();
    try {
      const stream = client.query(
        new QueryStream('INSERT INTO item (name) VALUES ($1) RETURNING name', [name]),
      );
      for await (const row of stream) expect(row).toEqual({ name });
    } finally {
      client.release();
    }
  },
}));

describeTool('pgtyped', async ({ pool }) => {
  const insert = typed<{ params: { name: string }; result: void }>`INSERT INTO item (name) VALUES ($name!)`;
  return { store: (name) => insert.run({ name }, pool) };
});

describeTool('zapatos', async ({ pool }) => {
  const insert = (name: string) => zapatos.sql`INSERT INTO item (name) VALUES (${zapatos.param(name)})`;
  const level = zapatos.IsolationLevel.ReadCommitted;
  return {
    store: (name) => zapatos.transaction(pool, level, (client) => insert(name).run(client)),
    undo: (name) =>
      undone((undo) =>
        zapatos.transaction(pool, level, async (client) => {
          await insert(name).run(client);
          undo();
        }),
      ),
  };
});
