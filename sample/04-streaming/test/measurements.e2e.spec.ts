import type { INestApplication } from '@nestjs/common';
import { AsyncEngine } from 'nest-async-engine';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../../../test/support/process/barrier.js';
import { openRequest } from '../../../test/support/nest/http.js';
import { ADAPTERS } from '../../../test/support/nest/nest-app.js';
import { createDatabase, type TestDatabase } from '../../../test/support/server/postgres.js';
import { createApp } from '../src/create-app.js';

describe.each(ADAPTERS)('the station on %s', (_name, adapter) => {
  let database: TestDatabase;
  let app: INestApplication;
  let url: string;

  beforeEach(async () => {
    database = await createDatabase('station');
    app = await createApp({ url: database.url }, adapter());
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });

  afterEach(async () => {
    await eventually(() => expect(app.get(AsyncEngine).pool.checkedOut()).toBe(0));
    await app.close();
    await database.drop();
  });

  function measure(sensor: string, value: unknown): Promise<Response> {
    const headers = { 'content-type': 'application/json' };
    return fetch(`${url}/measurements`, { method: 'POST', headers, body: JSON.stringify({ sensor, value }) });
  }

  it.each([
    ['csv', 'id,sensor,value\r\n1,sensor 1,'],
    ['ndjson', '{"id":1,"sensor":"sensor 1","value":0.84'],
    ['json', '[{"id":1,"sensor":"sensor 1","value":0.84'],
  ])('downloads rows as %s', async (format, head) => {
    const response = await fetch(`${url}/measurements.${format}?rows=5000`);
    const body = await response.text();
    expect(body.slice(0, head.length)).toBe(head);
    expect(body).toContain('sensor 2');
    expect(body.split('sensor ')).toHaveLength(5_001);
  });

  it('frees its connection when a reader of a million rows hangs up', async () => {
    const { pool } = app.get(AsyncEngine);
    const request = openRequest(`${url}/measurements.ndjson?rows=1000000`);
    await request.response;
    expect(pool.checkedOut()).toBe(1);
    request.hangUp();
    await eventually(() => expect(pool.checkedOut()).toBe(0));
  });

  it('announces what is measured to whoever listens', async () => {
    const listener = openRequest(`${url}/measurements/live`);
    // Nest writes the head of an event stream before anybody listens to the channel.
    await listener.response;
    await eventually(async () => {
      const sessions = await database.sessions();
      expect(sessions.some(({ query }) => query.startsWith('LISTEN'))).toBe(true);
    });
    const heard = listener.response.then(async (body) => {
      let text = '';
      for await (const chunk of body) {
        text += String(chunk);
        const data = /^data: (.*)$/m.exec(text)?.[1];
        if (data !== undefined) return JSON.parse(data) as unknown;
      }
      return undefined;
    });
    await (await measure('roof', 21.5)).text();
    expect(await heard).toEqual({ id: 1, sensor: 'roof', value: 21.5 });
    listener.hangUp();
  });

  it('streams what is stored as events', async () => {
    for (const value of [1, 2, 3]) await (await measure('roof', value)).text();
    const body = await (await fetch(`${url}/measurements/stored`)).text();
    expect(body.match(/^data: .*$/gm)).toEqual([
      'data: {"id":1,"sensor":"roof","value":1}',
      'data: {"id":2,"sensor":"roof","value":2}',
      'data: {"id":3,"sensor":"roof","value":3}',
    ]);
  });

  it('refuses a format and a measurement that make no sense', async () => {
    expect((await fetch(`${url}/measurements.xml`)).status).toBe(400);
    expect((await measure('roof', 'warm')).status).toBe(400);
  });
});
