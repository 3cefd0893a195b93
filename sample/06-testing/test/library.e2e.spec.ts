import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { AsyncEngine } from 'nest-async-engine';
import { DatabaseTestingModule, recordSql, rollbackEach } from 'nest-async-engine/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LibraryModule } from '../src/library.module.js';
import { Post } from '../src/post.js';
import { createTables } from '../src/schema.js';
import type { Book } from '../src/shelf.js';
import { useServerOfTheRun } from './server.js';

/** Keeps the letters. */
class LetterBox extends Post {
  readonly readers: string[] = [];

  override async send(reader: string): Promise<void> {
    this.readers.push(reader);
    await Promise.resolve();
  }
}

useServerOfTheRun();

describe('the library, over HTTP', () => {
  let app: INestApplication;
  let url: string;
  let box: LetterBox;

  beforeAll(async () => {
    const testing = await Test.createTestingModule({
      imports: [DatabaseTestingModule.forRoot({ migrate: createTables }), LibraryModule],
    })
      .overrideProvider(Post)
      .useClass(LetterBox)
      .compile();
    app = testing.createNestApplication();
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    box = app.get(Post);
  });
  beforeEach(() => void box.readers.splice(0));
  afterAll(() => app.close());
  // What a test stores is gone after it, over HTTP, too: every test begins with an empty library.
  rollbackEach(() => app, { beforeEach, afterEach });

  async function add(title: string): Promise<Book> {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${url}/books`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ title }),
    });
    return (await response.json()) as Book;
  }

  const lend = async (book: number, reader: string): Promise<number> =>
    (await fetch(`${url}/readers/${reader}/${book}`, { method: 'PUT' })).status;
  const takeBack = async (book: number): Promise<number> =>
    (await fetch(`${url}/loans/${book}`, { method: 'DELETE' })).status;
  const titles = async (reader: string): Promise<string[]> =>
    ((await (await fetch(`${url}/readers/${reader}`)).json()) as Book[]).map(({ title }) => title);

  // Twice the same: the second would meet the title and the loan of the first.
  it.each(['first', 'second'])('lends a book, in the %s of two tests', async () => {
    const { id } = await add('Middlemarch');
    expect(await lend(id, 'ada')).toBe(204);
    expect(await titles('ada')).toEqual(['Middlemarch']);
  });

  it('writes to the reader once the loan is stored', async () => {
    const { id } = await add('Middlemarch');
    await lend(id, 'ada');
    await takeBack(id);
    expect(box.readers).toEqual(['ada', 'ada']);
  });

  it('lends a book to one reader, and writes to nobody else', async () => {
    const { id } = await add('Middlemarch');
    await lend(id, 'ada');
    expect(await lend(id, 'bob')).toBe(409);
    expect(await titles('bob')).toEqual([]);
    expect(box.readers).toEqual(['ada']);
  });

  it('lends no third book', async () => {
    const books = await Promise.all(['Lady Susan', 'Sanditon', 'Evelina'].map(add));
    const statuses: number[] = [];
    for (const { id } of books) statuses.push(await lend(id, 'ada'));
    expect(statuses).toEqual([204, 204, 409]);
    expect(await titles('ada')).toEqual(['Lady Susan', 'Sanditon']);
  });

  it('answers 404 for a book that nobody has', async () => {
    expect(await takeBack(404)).toBe(404);
  });

  it('asks once for the books of a reader, however many there are', async () => {
    for (const title of ['Emma', 'Persuasion']) await lend((await add(title)).id, 'ada');
    using log = recordSql(app.get(AsyncEngine));
    await titles('ada');
    expect(log.texts).toEqual([expect.stringMatching(/^SELECT id, title FROM loans JOIN books/)]);
  });

  it('lends in one transaction', async () => {
    const { id } = await add('Emma');
    using log = recordSql(app.get(AsyncEngine));
    await lend(id, 'ada');
    expect(log.texts).toEqual([
      'BEGIN ISOLATION LEVEL SERIALIZABLE',
      expect.stringMatching(/^SELECT/),
      'INSERT INTO loans (book, reader) VALUES ($1, $2)',
      'COMMIT',
    ]);
  });
});
