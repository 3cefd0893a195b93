import { randomUUID } from 'node:crypto';
import { ArgumentError, createAsyncEngine, ConnectError, text } from 'nest-async-engine/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failureOf } from '../../../support/items.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

/** What a URL has to encode, and what encodings are made of. */
const ROLE = `we ird:@/%?#[]ü ${randomUUID().slice(0, 8)}`;
const PASSWORD = 'p@ss:/?#[]%25ü ';

let database: TestDatabase;
let server: URL;

beforeAll(async () => {
  database = await createDatabase('url_parameters');
  server = new URL(database.url);
  await database.query(`CREATE ROLE "${ROLE}" LOGIN PASSWORD '${PASSWORD}'`);
});
afterAll(async () => {
  await database.query(`DROP ROLE "${ROLE}"`);
  await database.drop();
});

const WHO = text(
  "SELECT current_user AS who, current_database() AS db, current_setting('application_name') AS app",
);

async function seenBy(url: string): Promise<Readonly<Record<string, unknown>>> {
  const engine = createAsyncEngine(url, { poolSize: 1, connectTimeout: 5_000 });
  try {
    return await engine.execute(WHO).one();
  } finally {
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
  }
}

const encoded = encodeURIComponent;
const own = (query: string): string => `${database.url}?${query}`;

describe('a URL', () => {
  it('brings a user and a password of any characters to the server', async () => {
    const address = `127.0.0.1:${server.port}${server.pathname}`;
    const urls = [
      `postgresql://${encoded(ROLE)}:${encoded(PASSWORD)}@${address}`,
      `postgresql://${address}?user=${encoded(ROLE)}&password=${encoded(PASSWORD)}`,
    ];
    for (const url of urls) expect(await seenBy(url)).toMatchObject({ who: ROLE });
  });

  it('has a blank for a + in its query, and a + for %2B', async () => {
    expect(await seenBy(own('application_name=a+b%20c%2B'))).toMatchObject({ app: 'a b c+' });
  });

  it('has the last value of a parameter that is given twice', async () => {
    expect(await seenBy(own('application_name=one&application_name=two'))).toMatchObject({ app: 'two' });
  });

  it.each(['&&application_name=x&', 'application_name=x'])('may have empty parts: ?%s', async (query) => {
    expect(await seenBy(own(query))).toMatchObject({ app: 'x' });
  });

  it.each(['127.0.0.1:1', '[::1]:1', 'localhost:1'])('goes on to the next host behind %s', async (dead) => {
    const url = database.url.replace('@', `@${dead},`);
    expect(await seenBy(url)).toMatchObject({ db: server.pathname.slice(1) });
  });

  it('names the folder of a socket that is not there', async () => {
    const failure = await failureOf(seenBy('postgresql://a@/d?host=/no/such/folder&port=5433'));
    expect(failure).toBeInstanceOf(ConnectError);
    expect((failure as Error).message).toMatch(/\/no\/such\/folder:5433/);
  });
});

describe('PU-12: is refused when the engine is made', () => {
  const long = 'n'.repeat(64);
  it.each([
    ['NUL in the user', 'postgresql://a%00b@h/d', /user must not contain NUL/],
    ['NUL in the password', 'postgresql://a:s%00t@h/d', /password must not contain NUL/],
    ['NUL in the database', 'postgresql://a@h/d%00user%00postgres', /database must not contain NUL/],
    [
      'NUL in a parameter',
      'postgresql://a@h/d?application_name=x%00y',
      /application_name must not contain NUL/,
    ],
    ['NUL in options', 'postgresql://a@h/d?options=x%00y', /options must not contain NUL/],
    ['a database of 64 bytes', `postgresql://a@h/${long}`, /database has more than 63 bytes/],
    ['a database of 64 bytes in 32 characters', `postgresql://a@h/${'é'.repeat(32)}`, /database has more/],
    ['a dbname of 64 bytes', `postgresql://a@h/?dbname=${long}`, /database has more than 63 bytes/],
    ['a user of 64 bytes', `postgresql://${long}@h/d`, /user has more than 63 bytes/],
    [
      'an application_name of 64 bytes',
      `postgresql://h/d?application_name=${long}`,
      /application_name has more/,
    ],
    ['port 0', 'postgresql://h:0/d', /port 0/],
    ['port 0 of one of several', 'postgresql://h:1,i:0/d', /port 0/],
    ['a port that is none', 'postgresql://h:65536/d', /port/],
    ['an IPv6 address without brackets', 'postgresql://::1:5432/d', /port/],
    ['an empty host of several', 'postgresql://a,,b/d', /empty entry/],
    ['an unknown parameter', 'postgresql://h/d?sslMode=require', /unknown parameters: sslMode/],
    ['an empty parameter', 'postgresql://h/d?sslmode=', /sslmode is empty/],
  ])('%s, without its value', (_name, url, message) => {
    const make = (): unknown => createAsyncEngine(url);
    expect(make).toThrow(ArgumentError);
    expect(make).toThrow(message);
    expect(make).not.toThrow(/nnnn|éé/);
  });

  it('a connect_timeout that is no time, also beside the option that has precedence', () => {
    const make = (): unknown =>
      createAsyncEngine('postgresql://h/d?connect_timeout=soon', { connectTimeout: 1_000 });
    expect(make).toThrow(/connect_timeout must be a number of whole seconds/);
  });

  it.each([{ database: 'n'.repeat(64) }, { user: 'a\0b' }])(
    'connectArgs that would be cut off',
    (connectArgs) => {
      expect(() => createAsyncEngine('postgresql://h/d', { connectArgs })).toThrow(ArgumentError);
    },
  );
});

it('a name of 63 bytes is the whole name', async () => {
  const name = 'n'.repeat(63);
  expect(await seenBy(own(`application_name=${name}`))).toMatchObject({ app: name });
});
