import { createConnection } from 'node:net';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { failureOf } from '../items.js';
import { startEmbeddedPostgres } from '../../../lib/embedded/embedded-postgres.js';
import { eventually } from '../process/barrier.js';
import { startFaultyProxy, type Fate, type FaultyProxy } from './faulty-proxy.js';
import { createDatabase, type TestDatabase } from './postgres.js';

let database: TestDatabase;
let proxy: FaultyProxy;
let client: Client;

async function connect(): Promise<Client> {
  const opened = new Client({ connectionString: proxy.url, ssl: false });
  opened.on('error', () => undefined);
  await opened.connect();
  return opened;
}

/** Watches `work` from now on, so that its failure is never unhandled. */
beforeAll(async () => {
  database = await createDatabase('proxy');
});

beforeEach(async () => {
  proxy = await startFaultyProxy(database.url);
  client = await connect();
  proxy.reset();
});

afterEach(async () => {
  proxy.resume();
  await client.end().catch(() => undefined);
  await proxy.close();
  // A server that sleeps does not notice that its client has gone.
  await database.query(
    `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()`,
    [database.name],
  );
});

afterAll(() => database.drop());

it('counts one round trip for a simple and one for an extended query', async () => {
  await client.query('SELECT 1');
  await client.query('SELECT $1::int', [2]);
  expect(proxy.roundTrips).toBe(2);
});

it('counts the round trips of a login with SCRAM', async (context) => {
  const second = await connect();
  const isScram = proxy.messages.filter(({ type }) => type === 'Authentication').length > 1;
  if (!isScram) await second.end();
  context.skip(!isScram, 'the server of TEST_DATABASE_URL lets this user in without a password');
  expect(proxy.roundTrips).toBe(3);
  await second.end();
});

it('counts one round trip for questions that share a wait', async () => {
  const { connection } = client;
  const ready = new Promise<void>((resolve) => {
    let answers = 0;
    connection.on('readyForQuery', () => {
      answers += 1;
      if (answers === 2) resolve();
    });
  });
  connection.stream.cork();
  connection.sync();
  connection.sync();
  connection.stream.uncork();
  await ready;
  expect(proxy.roundTrips).toBe(1);
});

it('tells the SQL of what is executed, also when the statement was prepared before', async () => {
  await client.query({ name: 'answer', text: 'SELECT 42' });
  await client.query({ name: 'answer', text: 'SELECT 42' });
  await client.query('SELECT 43');
  expect(proxy.statements).toEqual(['SELECT 42', 'SELECT 42', 'SELECT 43']);
});

it('tells what the server answered', async () => {
  await expect(client.query('SELECT 1 / 0')).rejects.toThrow('division by zero');
  await client.query('BEGIN');
  expect(proxy.messages.filter(({ from, text }) => from === 'server' && text !== undefined)).toMatchObject([
    { type: 'ErrorResponse', text: '22012 division by zero' },
    { type: 'ReadyForQuery', text: 'I' },
    { type: 'CommandComplete', text: 'BEGIN' },
    { type: 'ReadyForQuery', text: 'T' },
  ]);
});

it('reads messages that come in many chunks', async () => {
  const long = 'x'.repeat(300_000);
  const { rows } = await client.query<{ long: string }>('SELECT $1::text AS long', [long]);
  expect(rows[0]?.long).toBe(long);
  expect(proxy.messages.map(({ type }) => type)).toEqual([
    'Parse',
    'Bind',
    'Describe',
    'Execute',
    'Sync',
    'ParseComplete',
    'BindComplete',
    'RowDescription',
    'DataRow',
    'CommandComplete',
    'ReadyForQuery',
  ]);
});

it('counts one write for a flight', async () => {
  await client.query('SELECT $1::int', [1]);
  expect(proxy.writes).toBe(1);
});

it('cuts what runs, and takes new connections', async () => {
  const running = failureOf(client.query('SELECT pg_sleep(60)'));
  await eventually(async () => expect(await database.sessions()).toMatchObject([{ state: 'active' }]));
  proxy.cut();
  expect(await running).toMatchObject({ code: 'ECONNRESET' });
  expect(proxy.connections).toBe(0);
  const second = await connect();
  expect((await second.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  await second.end();
});

it('keeps a matching message of a client from the server until it is resumed', async () => {
  await client.query('CREATE TABLE kept (id int); BEGIN; INSERT INTO kept VALUES (1)');
  const held = proxy.holdWhen(({ text }) => text === 'COMMIT');
  const commit = client.query('COMMIT');
  await held;
  expect(await database.sessions()).toMatchObject([{ state: 'idle in transaction' }]);
  proxy.resume();
  await commit;
  expect(await database.query('SELECT id FROM kept')).toEqual([{ id: 1 }]);
});

it('can keep the answer instead, so that what was done is lost to the client', async () => {
  await client.query('CREATE TABLE lost (id int); BEGIN; INSERT INTO lost VALUES (1)');
  const held = proxy.holdWhen(({ type, text }) => type === 'CommandComplete' && text === 'COMMIT');
  const commit = failureOf(client.query('COMMIT'));
  await held;
  proxy.cut();
  expect(await commit).toMatchObject({ code: 'ECONNRESET' });
  expect(await database.query('SELECT id FROM lost')).toEqual([{ id: 1 }]);
});

it('lets a listener cut before a message is passed on', async () => {
  await client.query('CREATE TABLE never (id int)');
  proxy.onMessage(({ type, text }) => {
    if (type === 'Query' && text?.startsWith('INSERT') === true) proxy.cut();
  });
  await expect(client.query('INSERT INTO never VALUES (1)')).rejects.toMatchObject({ code: 'ECONNRESET' });
  await eventually(async () => expect(await database.sessions()).toEqual([]));
  expect(await database.query('SELECT id FROM never')).toEqual([]);
});

it('passes on nothing while it is stalled', async () => {
  proxy.stall();
  const answer = client.query('SELECT 1 AS one');
  await eventually(() => expect(proxy.statements).toEqual(['SELECT 1 AS one']));
  const [session] = await database.sessions();
  expect(session?.query).not.toBe('SELECT 1 AS one');
  proxy.resume();
  expect((await answer).rows).toEqual([{ one: 1 }]);
});

it('delays each way', async () => {
  proxy.delay(40);
  const before = performance.now();
  await client.query('SELECT 1');
  expect(performance.now() - before).toBeGreaterThanOrEqual(79);
});

it('counts cancel requests and passes them on', async () => {
  const running = failureOf(client.query('SELECT pg_sleep(60)'));
  await eventually(async () => expect(await database.sessions()).toMatchObject([{ state: 'active' }]));
  const request = Buffer.alloc(16);
  const keys = [Reflect.get(client, 'processID'), Reflect.get(client, 'secretKey')].map(Number);
  for (const [index, value] of [16, 80877102, ...keys].entries()) request.writeInt32BE(value, index * 4);
  createConnection(Number(new URL(proxy.url).port), '127.0.0.1').end(request);
  expect(await running).toMatchObject({ code: '57014' });
  expect(proxy.cancelRequests).toBe(1);
});

it('passes a refused encryption and reads on behind it', async () => {
  const second = new Client({ connectionString: proxy.url, ssl: true });
  await expect(second.connect()).rejects.toThrow('does not support SSL');
  expect(proxy.messages).toMatchObject([{ type: 'SSLRequest' }, { type: 'EncryptionReply', text: 'N' }]);
});

it('closes the session on the server when the client says goodbye', async () => {
  await client.end();
  await eventually(async () => {
    expect(await database.sessions()).toEqual([]);
    expect(proxy.connections).toBe(0);
  });
});

it('stands before a Unix socket, too', async () => {
  await using server = await startEmbeddedPostgres({ settings: { unix_socket_directories: '/tmp' } });
  const { username, password } = new URL(server.url);
  const target = `postgresql://${username}:${password}@/postgres?host=/tmp&port=${server.port}`;
  await using local = await startFaultyProxy(target);
  const through = new Client({ connectionString: local.url });
  await through.connect();
  const { rows } = await through.query('SELECT inet_client_addr() AS address');
  await through.end();
  expect(rows).toEqual([{ address: null }]);
});

it.each<[Fate, string[]]>([
  ['cut before', []],
  ['cut inside', []],
  ['cut behind', ['kept']],
])('loses one connection where a message is %s, and no other', async (fate, stored) => {
  await database.query('CREATE TABLE cuts (name text)');
  const other = await connect();
  proxy.cutWhere(({ from, text }) =>
    from === 'client' && text?.startsWith('INSERT') === true ? fate : 'passes',
  );
  try {
    const inserting = failureOf(client.query("INSERT INTO cuts VALUES ('kept')"));
    expect(await inserting).toBeInstanceOf(Error);
    expect((await other.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await eventually(() => expect(proxy.connections).toBe(1));
    await eventually(async () => expect((await database.sessions()).length).toBe(1));
    const rows = await database.query<{ name: string }>('SELECT name FROM cuts');
    expect(rows.map(({ name }) => name)).toEqual(stored);
  } finally {
    await other.end();
    await database.query('DROP TABLE cuts');
  }
});
