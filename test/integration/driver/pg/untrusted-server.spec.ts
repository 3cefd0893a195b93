import { readFile } from 'node:fs/promises';
import {
  createAsyncEngine,
  InterfaceError,
  OperationalError,
  text,
  type AsyncEngine,
  type AsyncEngineOptions,
  ConnectionLostError,
} from 'nest-async-engine/engine';
import { once } from 'node:events';
import { inspect } from 'node:util';
import type { Socket } from 'node:net';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { failureOf } from '../../../support/items.js';
import { makeCertificates, type Certificates } from '../../../support/server/certificates.js';
import {
  type Script,
  type ScriptedServer,
  startScriptedServer,
} from '../../../support/server/scripted-server.js';
import { serverMessages as says } from '../../../support/server/server-messages.js';

let certificates: Certificates;
let certificate: { cert: string; key: string };

beforeAll(async () => {
  certificates = await makeCertificates();
  const [cert, key] = await Promise.all([
    readFile(certificates.server, 'utf8'),
    readFile(certificates.serverKey, 'utf8'),
  ]);
  certificate = { cert, key };
});

afterAll(() => certificates.remove());

interface Meeting {
  readonly server: ScriptedServer;
  readonly engine: AsyncEngine;
}

/** An engine of one session on a server that plays `script`. */
async function meet(script: Script, query = '', options: AsyncEngineOptions = {}): Promise<Meeting> {
  const server = await startScriptedServer(script);
  const engine = createAsyncEngine(`${server.url}?${query}`, {
    poolSize: 1,
    maxOverflow: 0,
    connectTimeout: 5_000,
    ...options,
    logger: { log() {}, warn() {}, error() {}, debug() {} },
  });
  onTestFinished(async () => {
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
    await server[Symbol.asyncDispose]();
  });
  return { server, engine };
}

const write =
  (...bytes: readonly Buffer[]) =>
  (socket: Socket): void =>
    void socket.write(Buffer.concat(bytes));

const heardPassword = ({ server }: Meeting): boolean =>
  server.heard.some((bytes) => bytes.includes('password'));

/** The client's nonce, with more of the server's own behind it. */
function challenge(first: Buffer): Buffer {
  const [, nonce = ''] = /r=([\w+/=-]+)/.exec(first.toString('latin1')) ?? [];
  return says.authentication(11, Buffer.from(`r=${nonce}more,s=AAAA,i=4096`));
}

const offer = says.offerScram('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256');
const forged = says.authentication(12, Buffer.from(`v=${Buffer.alloc(32).toString('base64')}`));

describe('a login', () => {
  // Each of the places at which OK may come, with what was proved until then: nothing.
  it.each<[string, Script]>([
    ['asks for nothing', { onStart: write(says.welcome()) }],
    ['offers to bind and says OK', { onStart: write(offer, says.welcome()) }],
    [
      'offers to bind, and says OK to the first message',
      { onStart: write(offer), onData: (socket) => write(says.welcome())(socket) },
    ],
    [
      'says OK in the place of its proof',
      {
        onStart: write(offer),
        onData: (socket, bytes, count) => write(count === 0 ? challenge(bytes) : says.welcome())(socket),
      },
    ],
    [
      'proves itself by a wrong signature',
      {
        onStart: write(offer),
        onData: (socket, bytes, count) =>
          write(...(count === 0 ? [challenge(bytes)] : [forged, says.welcome()]))(socket),
      },
    ],
    ['offers no binding', { onStart: write(says.offerScram('SCRAM-SHA-256')) }],
    ['asks for the password', { onStart: write(says.authentication(3)) }],
    ['asks for an MD5', { onStart: write(says.authentication(5, Buffer.from('salt'))) }],
  ])('with channel_binding=require is refused where the server %s', async (_, script) => {
    const meeting = await meet({ ...script, certificate }, 'sslmode=require&channel_binding=require');
    const failure = await failureOf(meeting.engine.execute(text('SELECT 1')));
    expect(failure).toMatchObject({
      message: expect.stringMatching(/channel binding|left out a step|signature/),
    });
    expect(heardPassword(meeting)).toBe(false);
  });

  it.each<[string, Script]>([
    ['in the place of its challenge', { onStart: write(offer, says.welcome()) }],
    [
      'in the place of its proof',
      {
        onStart: write(offer),
        onData: (socket, bytes, count) => write(count === 0 ? challenge(bytes) : says.welcome())(socket),
      },
    ],
  ])('is refused where OK comes %s, whatever the URL asks for', async (_, script) => {
    const { engine } = await meet(script);
    const failure = await failureOf(engine.execute(text('SELECT 1')));
    expect(failure).toBeInstanceOf(InterfaceError);
    expect(failure).toMatchObject({ message: expect.stringContaining('has not proved who it is') });
  });

  it('is refused where the server asks twice', async () => {
    const meeting = await meet({
      onStart: write(says.offerScram('SCRAM-SHA-256')),
      onData: (socket) => write(says.authentication(3))(socket),
    });
    expect(await failureOf(meeting.engine.execute(text('SELECT 1')))).toBeInstanceOf(InterfaceError);
    expect(heardPassword(meeting)).toBe(false);
  });

  it.each([
    ['scram-sha-256', says.authentication(3), 'asks for password'],
    ['!password', says.authentication(3), 'asks for password'],
    ['password,md5', says.offerScram('SCRAM-SHA-256'), 'asks for scram-sha-256'],
    ['scram-sha-256', says.welcome(), 'did not ask for a password'],
    ['!none', says.welcome(), 'did not ask for a password'],
  ])('with require_auth=%s is refused before an answer', async (methods, first, message) => {
    const meeting = await meet({ onStart: write(first) }, `require_auth=${methods}`);
    const failure = await failureOf(meeting.engine.execute(text('SELECT 1')));
    expect(failure).toBeInstanceOf(OperationalError);
    expect(failure).toMatchObject({ message: expect.stringContaining(message) });
    expect(heardPassword(meeting)).toBe(false);
  });

  it.each([
    ['password', says.authentication(3)],
    ['!md5', says.authentication(3)],
    ['none', says.welcome()],
  ])('with require_auth=%s is what it may be', async (methods, first) => {
    const { engine } = await meet(
      {
        onStart: write(first),
        onData: (socket, bytes) => write(bytes[0] === 0x70 ? says.welcome() : says.oneRow('x'))(socket),
      },
      `require_auth=${methods}`,
    );
    expect(await engine.scalar(text('SELECT 1'))).toBe('x');
  });

  it.each([
    ['an unknown authentication', says.authentication(77), /Is it a PostgreSQL server/],
    ['GSSAPI', says.authentication(7), /asks for GSSAPI, which the driver pg does not support/],
    ['rows', says.dataRow(['1']), /Is it a PostgreSQL server/],
    ['another protocol', Buffer.from('HTTP/1.1 400 Bad Request'), /Is it a PostgreSQL server/],
  ])('at which the server answers by %s is an InterfaceError', async (_, first, message) => {
    const { engine } = await meet({ onStart: write(first) });
    const failure = await failureOf(engine.execute(text('SELECT 1')));
    expect(failure).toBeInstanceOf(InterfaceError);
    expect(failure).toMatchObject({ message: expect.stringMatching(message) });
  });
});

describe('behind the login', () => {
  it('a password that is asked for in clear text is not sent', async () => {
    const meeting = await meet({
      onData: (socket) => write(says.parseComplete(), says.authentication(3))(socket),
    });
    const failure = await failureOf(meeting.engine.execute(text('SELECT 1')));
    expect(failure).toBeInstanceOf(InterfaceError);
    expect(failure).toMatchObject({ connectionInvalidated: true });
    expect(heardPassword(meeting)).toBe(false);
  });

  const head = [says.parseComplete(), says.bindComplete()];
  const described = [...head, says.rowDescription({ a: 25 })];
  const { int16, int32 } = says;
  const row = (...parts: readonly Buffer[]): Buffer => says.message('D', ...parts);
  const column = says.rowDescription({ a: 25 }).subarray(7);
  it.each<[string, readonly Buffer[]]>([
    ['a row of 3 GB', [...described, Buffer.from([0x44, 0xb2, 0xd0, 0x5e, 0x00])]],
    ['an error without an end', [says.message('E', Buffer.from('SERROR'))]],
    ['a description that is cut short', [...head, says.message('T', says.int16(3), says.text('a'))]],
    ['readiness before its answer', [...described, says.readyForQuery('I')]],
    [
      'two answers to one statement',
      [...described, says.dataRow(['x']), says.commandComplete('SELECT 1'), says.oneRow('y')],
    ],
    ['a row with more values than columns', [...described, says.dataRow(['x', 'y'])]],
    ['a row with fewer values than columns', [...described, says.dataRow([])]],
    ['a value that is longer than its row', [...described, row(int16(1), int32(2), Buffer.from('x'))]],
    ['a row with bytes behind its last value', [...described, row(int16(1), int32(1), Buffer.from('xy'))]],
    ['a value of a negative length', [...described, row(int16(1), int32(-2))]],
    ['a row that ends inside of a length', [...described, row(int16(1), int16(0))]],
    ['a row without a count', [...described, row()]],
    [
      'a row that does not fit, of two columns of one name',
      [...head, says.message('T', int16(2), column, column), says.dataRow(['x'])],
    ],
  ])('%s is an InterfaceError for its caller, and the next session works', async (_, answer) => {
    let isWrong = true;
    const { engine } = await meet({
      onData: (socket) => write(...(isWrong ? answer : [says.oneRow('right')]))(socket),
    });
    const failure = await failureOf(engine.execute(text('SELECT 1')));
    expect(failure).toBeInstanceOf(InterfaceError);
    expect(failure).toMatchObject({ connectionInvalidated: true });
    isWrong = false;
    expect(await engine.scalar(text('SELECT 1'))).toBe('right');
  });
});

describe('a flight that is answered in parts', () => {
  it('ends the session where a statement was run behind one that had failed', async () => {
    let isWrong = true;
    const { engine } = await meet({
      onData: (socket) =>
        write(
          ...(isWrong
            ? [
                says.error('42P01', 'no such table'),
                says.commandComplete('INSERT 0 1'),
                says.readyForQuery('I'),
              ]
            : [says.oneRow('right')]),
        )(socket),
    });
    const failure = await failureOf(
      engine.transaction(() => engine.execute(text('INSERT INTO t VALUES (1)'))),
    );
    expect(failure).toMatchObject({
      connectionInvalidated: true,
      message: expect.stringContaining('was run behind one that had failed (INSERT 0 1)'),
    });
    isWrong = false;
    expect(await engine.scalar(text('SELECT 1'))).toBe('right');
  });
});

describe('a plan that is stale under each name', () => {
  const nameIn = (bytes: Buffer): string => {
    const start = bytes.indexOf('P') + 5;
    return bytes.toString('latin1', start, bytes.indexOf(0, start));
  };

  it('is run without a name, and so from then on', async () => {
    const names: string[] = [];
    const stale = says.message(
      'E',
      ...['SERROR', 'C0A000', 'Mcached plan must not change result type', 'RRevalidateCachedQuery', ''].map(
        says.text,
      ),
    );
    const { engine } = await meet({
      onData: (socket, bytes) => {
        if (bytes[0] !== 0x50) return;
        names.push(nameIn(bytes));
        const answer = names.at(-1) === '' ? [says.oneRow('right')] : [stale, says.readyForQuery('I')];
        write(...answer)(socket);
      },
    });
    const read = text('SELECT a FROM t FOR UPDATE');
    expect(await engine.scalar(read)).toBe('right');
    const count = names.length;
    expect(names.filter((name) => name !== '').length).toBeLessThanOrEqual(2);
    expect(await engine.scalar(read)).toBe('right');
    expect(names.slice(count)).toEqual(['']);
  });
});

describe('what a client shows', () => {
  it('has no private key, whoever prints the client or what events tell of it', async () => {
    const { cert, serverKey } = { cert: certificates.server, serverKey: certificates.serverKey };
    const { engine } = await meet(
      { certificate, onData: (socket) => write(says.oneRow('x'))(socket) },
      `sslmode=require&sslcert=${encodeURIComponent(cert)}&sslkey=${encodeURIComponent(serverKey)}`,
    );
    const told: unknown[] = [];
    for (const event of ['connect', 'checkout', 'checkin'] as const)
      engine.on(event, (...facts: unknown[]) => void told.push(facts));
    await using pooled = await engine.rawConnection();
    const secret = certificate.key.split('\n')[1] ?? 'none';
    for (const shown of [pooled.driverConnection, pooled, engine, engine.pool, ...told]) {
      expect(inspect(shown, { depth: 20, maxArrayLength: null, maxStringLength: null })).not.toContain(
        secret,
      );
      expect(jsonOf(shown)).not.toContain(secret);
    }
    expect(told.length).toBeGreaterThan(0);
  });

  /** As loggers make it, which leave out what they have seen. */
  function jsonOf(value: unknown): string {
    const seen = new Set<unknown>();
    return (
      JSON.stringify(value, (_key, part: unknown) => {
        if (typeof part === 'bigint' || (typeof part === 'object' && seen.has(part))) return undefined;
        seen.add(part);
        return part;
      }) ?? ''
    );
  }
});

it('application_name leaves with the startup message, also with pgbouncer: true', async () => {
  const { engine, server } = await meet({ onData: write(says.oneRow('x')) }, '', {
    pgbouncer: true,
    applicationName: 'orders',
  });
  expect(await engine.scalar(text('SELECT 1'))).toBe('x');
  expect(server.heard[0]?.includes('application_name\0orders\0')).toBe(true);
});

it('a statement of more than 1 GB is refused before anything of it is sent, and the session works on', async () => {
  const { engine, server } = await meet({ onData: write(says.oneRow('x')) });
  expect(await engine.scalar(text('SELECT 1'))).toBe('x');
  const heard = server.heard.length;
  // Zeros that nothing reads take no memory.
  const part = Buffer.alloc(130_000_000);
  const failure = await failureOf(
    engine.execute({ text: 'SELECT 2', values: Array.from({ length: 9 }, () => part) }),
  );
  expect(failure).toMatchObject({ message: expect.stringContaining('longer than the 1 GB') });
  expect(server.heard).toHaveLength(heard);
  expect(await engine.scalar(text('SELECT 1'))).toBe('x');
});

describe('socketTimeout', () => {
  it('ends a session on which an answer is due and nothing comes', async () => {
    let isFrozen = true;
    const { engine } = await meet(
      { onData: (socket) => (isFrozen ? undefined : write(says.oneRow('back'))(socket)) },
      '',
      { socketTimeout: 50 },
    );
    const failure = await failureOf(engine.execute(text('SELECT 1')));
    expect(failure).toBeInstanceOf(ConnectionLostError);
    expect(failure).toMatchObject({
      message: expect.stringContaining('sent nothing for 50 ms (socketTimeout)'),
    });
    isFrozen = false;
    expect(await engine.scalar(text('SELECT 1'))).toBe('back');
  });

  it('leaves a session alone that waits for nothing', async () => {
    const { engine } = await meet({ onData: write(says.oneRow('x')) }, '', { socketTimeout: 20 });
    await using connection = await engine.rawConnection();
    const { stream } = (connection.driverConnection as Client).connection;
    await once(stream, 'timeout');
    expect(connection.isValid).toBe(true);
  });
});
