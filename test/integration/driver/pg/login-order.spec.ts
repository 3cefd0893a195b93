import type { Socket } from 'node:net';
import { createAsyncEngine, EngineError, InterfaceError, text } from 'nest-async-engine/engine';
import { describe, expect, it, onTestFinished } from 'vitest';
import { failureOf } from '../../../support/items.js';
import { startScriptedServer, type Script } from '../../../support/server/scripted-server.js';
import { serverMessages as says } from '../../../support/server/server-messages.js';

const write =
  (...bytes: readonly Buffer[]) =>
  (socket: Socket): void =>
    void socket.write(Buffer.concat(bytes));

async function meet(script: Script, query = '') {
  const server = await startScriptedServer(script);
  const engine = createAsyncEngine(`${server.url}?${query}`, {
    poolSize: 1,
    maxOverflow: 0,
    connectTimeout: 2_000,
    logger: { log() {}, warn() {}, error() {}, debug() {} },
  });
  onTestFinished(async () => {
    expect([engine.pool.checkedOut(), engine.pool.waiting()]).toEqual([0, 0]);
    await engine.aclose();
    await server[Symbol.asyncDispose]();
  });
  const heardPassword = (): boolean => server.heard.some((bytes) => bytes.includes('password'));
  return { engine, heardPassword };
}

const scram = says.offerScram('SCRAM-SHA-256');
const ready = says.readyForQuery('I');
const answer = (socket: Socket): void => write(says.oneRow('stolen'))(socket);

/** What comes before the login is over, and is none of its steps. */
const EARLY: readonly (readonly [string, readonly Buffer[]])[] = [
  ['readiness alone', [ready]],
  ['facts and readiness', [says.parameterStatus('server_version', '18.0'), says.backendKeyData(), ready]],
  ['readiness behind an offer of SCRAM', [scram, ready]],
  ['readiness behind a question for the password', [says.authentication(3), ready]],
  ['a proof before any challenge', [scram, says.authentication(12, Buffer.from('v=AAAA'))]],
  ['a proof alone', [says.authentication(12, Buffer.from('v=AAAA'))]],
  ['a challenge alone', [says.authentication(11, Buffer.from('r=a,s=AAAA,i=4096'))]],
  ['OK twice', [says.authentication(0), says.authentication(0), ready]],
  ['a question for the password behind OK', [says.authentication(0), says.authentication(3), ready]],
  ['an answer to no statement', [says.authentication(0), says.oneRow('x')]],
  ['a COPY', [says.authentication(0), says.message('G', Buffer.from([0, 0, 0])), ready]],
  ['the end of a COPY', [says.authentication(0), says.message('c'), ready]],
  ['a description without its statement', [says.authentication(0), says.rowDescription({ a: 25 }), ready]],
];

describe.each([
  '',
  'require_auth=scram-sha-256',
  'require_auth=password',
  'channel_binding=require&sslmode=disable',
])('a login with %s', (query) => {
  it.each(EARLY)('is refused by name where the server sends %s', async (_name, bytes) => {
    const { engine, heardPassword } = await meet({ onStart: write(...bytes), onData: answer }, query);
    const failure = await failureOf(engine.scalar(text('SELECT 1')));
    expect(failure).toBeInstanceOf(EngineError);
    const asksForPassword = query === '' || query === 'require_auth=password';
    if (!asksForPassword) expect(heardPassword()).toBe(false);
  });
});

/** What comes in the place of an answer, or in the middle of one. */
const head = [says.parseComplete(), says.bindComplete()];
const LATE: readonly (readonly [string, readonly Buffer[]])[] = [
  ['OK', [says.authentication(0), says.oneRow('x')]],
  ['a question for an MD5', [says.authentication(5, Buffer.from('salt')), says.oneRow('x')]],
  ['an offer of SCRAM', [scram, says.oneRow('x')]],
  [
    'a question for the password behind the rows',
    [
      ...head,
      says.rowDescription({ a: 25 }),
      says.dataRow(['x']),
      says.authentication(3),
      says.commandComplete('SELECT 1'),
      ready,
    ],
  ],
  ['a message of an unknown kind', [...head, says.message('?', Buffer.from('x')), says.oneRow('x')]],
];

describe('behind the login', () => {
  it.each(LATE)('%s ends the session, without a password, and the next one works', async (_name, bytes) => {
    let isWrong = true;
    const { engine, heardPassword } = await meet({
      onData: (socket) => write(...(isWrong ? bytes : [says.oneRow('right')]))(socket),
    });
    const failure = await failureOf(engine.scalar(text('SELECT 1')));
    expect(failure).toBeInstanceOf(InterfaceError);
    expect(failure).toMatchObject({ connectionInvalidated: true });
    expect(heardPassword()).toBe(false);
    isWrong = false;
    expect(await engine.scalar(text('SELECT 1'))).toBe('right');
  });

  it.each([
    ['a login that begins anew', [says.authentication(3)]],
    ['rows', [says.dataRow(['x'])]],
    ['readiness', [ready]],
    ['an answer', [says.oneRow('x')]],
  ])('%s that comes between two statements is no answer to the next one', async (_name, bytes) => {
    let count = 0;
    const { engine, heardPassword } = await meet({
      onData: (socket) => {
        count += 1;
        write(says.oneRow(`${count}`), ...(count === 1 ? bytes : []))(socket);
      },
    });
    const seen = (sql: string) =>
      engine.scalar(text(sql)).then(
        (value) => value,
        (error: unknown) => (error instanceof EngineError ? 'refused' : error),
      );
    expect(['1', 'refused']).toContain(await seen('SELECT 1'));
    expect(['2', 'refused']).toContain(await seen('SELECT 2'));
    expect(heardPassword()).toBe(false);
    expect(await engine.scalar(text('SELECT 3'))).toBe(`${count}`);
  });
});
