import type { INestApplication } from '@nestjs/common';
import { AsyncEngine } from 'nest-async-engine';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ADAPTERS } from '../../../test/support/nest/nest-app.js';
import { createDatabase, type TestDatabase } from '../../../test/support/server/postgres.js';
import { createApp } from '../src/create-app.js';

describe.each(ADAPTERS)('the address book on %s', (_name, adapter) => {
  let database: TestDatabase;
  let app: INestApplication;
  let url: string;

  beforeEach(async () => {
    database = await createDatabase('book');
    app = await createApp({ url: database.url }, adapter());
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });

  afterEach(async () => {
    expect(app.get(AsyncEngine).pool.checkedOut()).toBe(0);
    await app.close();
    await database.drop();
  });

  async function send(lines: string, query = ''): Promise<unknown> {
    const headers = { 'content-type': 'text/plain' };
    const response = await fetch(`${url}/imports${query}`, { method: 'POST', headers, body: lines });
    return await response.json();
  }

  async function read(what: 'contacts' | 'imports'): Promise<unknown> {
    return await (await fetch(`${url}/${what}`)).json();
  }

  it('stores the good lines of an import, and says why the others are refused', async () => {
    const report = await send('Ann <ann@x.org>\nnobody\nAnn <ann@x.org>\nBob <bob@x.org>\n');

    expect(report).toEqual({
      stored: 2,
      refused: ["'nobody' has no address", 'ann@x.org is there already'],
    });
    expect(await read('contacts')).toMatchObject([{ name: 'Ann' }, { name: 'Bob' }]);
    expect(await read('imports')).toEqual([{ id: 1, lines: 4, outcome: '2 stored' }]);
  });

  it('stores nothing of an import that must be whole and is not, but remembers that it was tried', async () => {
    const report = await send('Ann <ann@x.org>\nnobody', '?mode=all-or-nothing');

    expect(report).toEqual({ stored: 0, refused: ["'nobody' has no address"] });
    expect(await read('contacts')).toEqual([]);
    expect(await read('imports')).toEqual([{ id: 1, lines: 2, outcome: 'rolled back' }]);
  });

  it('stores an import that must be whole and is', async () => {
    expect(await send('Ann <ann@x.org>', '?mode=all-or-nothing')).toEqual({ stored: 1, refused: [] });
    expect(await read('contacts')).toMatchObject([{ email: 'ann@x.org' }]);
  });

  it('keeps imports apart that run at the same time', async () => {
    await Promise.all([send('Ann <ann@x.org>\nBob <bob@x.org>'), send('Cleo <cleo@x.org>\nnobody')]);
    const emails = (await read('contacts')) as { readonly email: string }[];
    expect(emails.map(({ email }) => email).sort()).toEqual(['ann@x.org', 'bob@x.org', 'cleo@x.org']);
  });

  it('refuses a mode that it does not know', async () => {
    expect(await send('Ann <ann@x.org>', '?mode=half')).toMatchObject({ statusCode: 400 });
  });
});
