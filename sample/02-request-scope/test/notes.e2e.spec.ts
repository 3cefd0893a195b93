import type { INestApplication } from '@nestjs/common';
import { AsyncEngine } from 'nest-async-engine';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ADAPTERS } from '../../../test/support/nest/nest-app.js';
import { createDatabase, type TestDatabase } from '../../../test/support/server/postgres.js';
import { createApp } from '../src/create-app.js';

describe.each(ADAPTERS)('the notebook on %s', (_name, adapter) => {
  let database: TestDatabase;
  let app: INestApplication;
  let url: string;

  beforeEach(async () => {
    database = await createDatabase('notes');
    // One connection: whatever a request leaves behind on it, the next one would find.
    app = await createApp({ url: database.url, poolSize: 1, maxOverflow: 0 }, adapter());
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });

  afterEach(async () => {
    expect(app.get(AsyncEngine).pool.checkedOut()).toBe(0);
    await app.close();
    await database.drop();
  });

  async function write(tenant: string, text: string): Promise<number> {
    const headers = { 'x-tenant': tenant, 'content-type': 'application/json' };
    const response = await fetch(`${url}/notes`, { method: 'POST', headers, body: JSON.stringify({ text }) });
    await response.text();
    return response.status;
  }

  async function read(tenant: string, what: 'notes' | 'journal'): Promise<unknown> {
    return await (await fetch(`${url}/${what}`, { headers: { 'x-tenant': tenant } })).json();
  }

  it('shows each tenant his own notes, on one connection for all', async () => {
    await Promise.all([write('ann', 'buy coffee'), write('bob', 'sell coffee'), write('ann', 'drink it')]);
    expect(await read('bob', 'notes')).toMatchObject([{ text: 'sell coffee' }]);
    expect(await read('ann', 'notes')).toHaveLength(2);
    expect(await read('cleo', 'notes')).toEqual([]);
  });

  it('undoes a request that fails, and keeps what its filter writes afterwards', async () => {
    expect(await write('ann', '  ')).toBe(422);
    expect(await read('ann', 'notes')).toEqual([]);
    expect(await read('ann', 'journal')).toEqual(['a note was refused']);
  });

  it('stores what a singleton wrote together with the rest of the request', async () => {
    expect(await write('ann', 'buy coffee')).toBe(201);
    expect(await read('ann', 'journal')).toEqual(['a note is written']);
  });

  it('takes no connection for a request that the guard denies', async () => {
    const { pool } = app.get(AsyncEngine);
    await using held = await pool.connect();
    const response = await fetch(`${url}/notes`);
    expect(response.status).toBe(400);
    expect(held.isValid).toBe(true);
  });

  it('leaves neither role nor tenant on the connection', async () => {
    await write('ann', 'buy coffee');
    const engine = app.get(AsyncEngine);
    const row = await engine
      .execute({
        text: `SELECT current_user = session_user AS "isOwner", current_setting('app.tenant', true) AS tenant`,
      })
      .one();
    expect(row).toEqual({ isOwner: true, tenant: '' });
  });
});
