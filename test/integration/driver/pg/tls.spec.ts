import { writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import {
  ArgumentError,
  createAsyncEngine,
  OperationalError,
  QueryCanceledError,
  type AsyncEngineOptions,
} from 'nest-async-engine/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../../lib/embedded/embedded-postgres.js';
import { eventually } from '../../../support/process/barrier.js';
import { makeCertificates, type Certificates } from '../../../support/server/certificates.js';
import { queryOnce } from '../../../support/server/postgres.js';
import { failureOf } from '../../../support/items.js';

const ENCRYPTED = `SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`;
const SSL_REQUEST = 80_877_103;
const CANCEL_REQUEST = 80_877_102;

let certificates: Certificates;
let server: EmbeddedPostgres;

interface Place {
  readonly user?: string;
  readonly password?: string;
  readonly host?: string;
  readonly port?: number;
}

function urlOf(query: string, place: Place = {}): string {
  const url = new URL(server.url);
  url.hostname = place.host ?? 'localhost';
  if (place.user !== undefined) url.username = place.user;
  if (place.password !== undefined) url.password = place.password;
  if (place.port !== undefined) url.port = String(place.port);
  return `${url.href}?${query}`;
}

async function ask<T>(
  url: string,
  sql = ENCRYPTED,
  options: AsyncEngineOptions = {},
): Promise<T | undefined> {
  const engine = createAsyncEngine(url, options);
  try {
    return await engine.execDriverSql<Record<string, T>>(sql).scalar<T>();
  } finally {
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
  }
}

/** In front of the server; writes down the first word of each connection behind its length. */
async function startTap(requests: number[]): Promise<Server> {
  const sockets = new Set<Socket>();
  const tap = createServer((client) => {
    const upstream = connect(server.port, server.host);
    client.once('data', (chunk) => requests.push(chunk.readInt32BE(4)));
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on('error', () => to.destroy());
      from.pipe(to);
    }
  });
  tap.listen(0, '127.0.0.1');
  await once(tap, 'listening');
  return tap;
}

beforeAll(async () => {
  certificates = await makeCertificates();
  const rules = join(certificates.folder, 'pg_hba.conf');
  // `plain` may only come without TLS, `ann` only with it and her certificate.
  await writeFile(
    rules,
    [
      'hostnossl all plain all trust',
      'hostssl all tls all trust',
      'hostssl all ann all cert',
      'host all postgres all scram-sha-256',
    ].join('\n'),
  );
  server = await startEmbeddedPostgres({
    settings: {
      ssl: 'on',
      ssl_cert_file: certificates.server,
      ssl_key_file: certificates.serverKey,
      ssl_ca_file: certificates.authority,
      hba_file: rules,
    },
  });
  await queryOnce(server.url, 'CREATE ROLE plain LOGIN; CREATE ROLE tls LOGIN; CREATE ROLE ann LOGIN');
});

afterAll(async () => {
  await server.stop();
  await certificates.remove();
});

describe('sslmode', () => {
  it.each([
    ['', 'postgres', false],
    ['sslmode=disable', 'postgres', false],
    ['sslmode=allow', 'postgres', false],
    ['sslmode=allow', 'tls', true],
    ['sslmode=prefer', 'postgres', true],
    ['sslmode=prefer', 'plain', false],
    ['sslmode=require', 'postgres', true],
    ['sslmode=no-verify', 'postgres', true],
    ['ssl=false', 'postgres', false],
  ])('%s for the user %s: encrypted %s', async (query, user, isEncrypted) => {
    expect(await ask(urlOf(query, { user }))).toBe(isEncrypted);
  });

  it.each([
    ['sslmode=disable', 'tls'],
    ['sslmode=require', 'plain'],
  ])('%s does not try the other way for the user %s', async (query, user) => {
    expect(await failureOf(ask(urlOf(query, { user })))).toMatchObject({ sqlState: '28000' });
  });

  it('prefer does not give a wrong password a second try', async () => {
    const requests: number[] = [];
    const tap = await startTap(requests);
    const { port } = tap.address() as { port: number };
    const error = await failureOf(ask(urlOf('sslmode=prefer', { password: 'wrong', port })));
    expect([(error as OperationalError).sqlState, requests]).toEqual(['28P01', [SSL_REQUEST]]);
    tap.close();
  });
});

describe('certificates', () => {
  it.each([
    ['verify-ca', 'localhost'],
    ['verify-ca', '127.0.0.1'],
    ['verify-full', 'localhost'],
    ['require', '127.0.0.1'],
  ])('%s takes the server of a known authority as %s', async (mode, host) => {
    expect(await ask(urlOf(`sslmode=${mode}&sslrootcert=${certificates.authority}`, { host }))).toBe(true);
  });

  it('ssl=true is sslmode=verify-full', async () => {
    expect(await ask(urlOf(`ssl=true&sslrootcert=${certificates.authority}`))).toBe(true);
    const otherName = urlOf(`ssl=true&sslrootcert=${certificates.authority}`, { host: '127.0.0.1' });
    expect(await failureOf(ask(otherName))).toMatchObject({
      cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
    });
  });

  it.each(['verify-ca', 'verify-full', 'require'])('%s refuses an unknown authority', async (mode) => {
    const error = await failureOf(ask(urlOf(`sslmode=${mode}&sslrootcert=${certificates.otherAuthority}`)));
    expect(error).toBeInstanceOf(OperationalError);
    expect((error as Error).message).toMatch(/certificate/);
  });

  it('verify-full refuses the right authority with another host name', async () => {
    const url = urlOf(`sslmode=verify-full&sslrootcert=${certificates.authority}`, { host: '127.0.0.1' });
    const error = await failureOf(ask(url));
    expect(error).toMatchObject({ cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' } });
  });

  it("verify-full without sslrootcert trusts Node's authorities only", async () => {
    expect(await failureOf(ask(urlOf('sslmode=verify-full')))).toBeInstanceOf(OperationalError);
  });

  it('sslcert and sslkey say who the client is', async () => {
    const files = `sslrootcert=${certificates.authority}&sslcert=${certificates.client}&sslkey=${certificates.clientKey}`;
    expect(await ask(urlOf(`sslmode=verify-full&${files}`, { user: 'ann' }), 'SELECT current_user')).toBe(
      'ann',
    );
  });

  it('without them the server refuses who needs them', async () => {
    const url = urlOf(`sslmode=verify-full&sslrootcert=${certificates.authority}`, { user: 'ann' });
    expect(await failureOf(ask(url))).toBeInstanceOf(OperationalError);
  });

  it('a file that cannot be read is named', async () => {
    const error = await failureOf(ask(urlOf('sslmode=verify-full&sslrootcert=/nowhere/root.crt')));
    expect(error).toBeInstanceOf(OperationalError);
    expect((error as Error).message).toMatch(/sslrootcert.*\/nowhere\/root\.crt/);
  });
});

describe('what an encrypted session does', () => {
  it.each(['', '&sslnegotiation=direct'])('its cancel request goes by TLS too%s', async (negotiation) => {
    const requests: number[] = [];
    const tap = await startTap(requests);
    const { port } = tap.address() as { port: number };
    const query = `sslmode=verify-full&sslrootcert=${certificates.authority}&application_name=sleeper${negotiation}`;
    const engine = createAsyncEngine(urlOf(query, { port }));
    const observer = createAsyncEngine(server.url);
    const abort = new AbortController();
    const sleeping = failureOf(
      engine.execute({ text: 'SELECT pg_sleep(30)' }, undefined, { signal: abort.signal }),
    );
    await eventually(async () => {
      const sql = `SELECT count(*)::int FROM pg_stat_activity WHERE application_name = 'sleeper' AND query LIKE '%sleep(30)' AND state = 'active'`;
      expect(await observer.execDriverSql(sql).scalar()).toBe(1);
    });
    abort.abort();
    expect(await sleeping).toBeInstanceOf(QueryCanceledError);
    expect(await engine.execDriverSql('SELECT 1').scalar()).toBe(1);
    // A TLS ClientHello has no code at this place; the unencrypted SSLRequest has its own.
    expect(requests).toHaveLength(2);
    expect(requests[1]).not.toBe(CANCEL_REQUEST);
    expect(requests[1] === SSL_REQUEST).toBe(negotiation === '');
    await Promise.all([engine.aclose(), observer.aclose()]);
    tap.close();
  });

  it.each(['prefer', 'require'])('signs in by SCRAM with channel_binding=%s', async (binding) => {
    expect(await ask(urlOf(`sslmode=require&channel_binding=${binding}`))).toBe(true);
  });

  it.each([
    ['without TLS', 'sslmode=disable', 'postgres'],
    ['as a trusted user', 'sslmode=require', 'tls'],
  ])('channel_binding=require does not sign in %s', async (_, query, user) => {
    const error = await failureOf(ask(urlOf(`${query}&channel_binding=require`, { user })));
    expect(error).toBeInstanceOf(OperationalError);
    expect((error as Error).message).toMatch(/without channel binding/);
  });

  it('PU-04: asks a password function for each connection, so that passwords can rotate', async () => {
    const passwords = [new URL(server.url).password, 'rotated'];
    const asked: string[] = [];
    const engine = createAsyncEngine(urlOf('sslmode=require', { password: 'outdated' }), {
      password: () => {
        const next = passwords[asked.length] ?? 'none';
        asked.push(next);
        return Promise.resolve(next);
      },
    });
    const first = await engine.connect();
    await first.execDriverSql(`ALTER ROLE postgres PASSWORD 'rotated'`);
    await first.commit();
    const second = await engine.connect();
    expect(asked).toEqual(passwords);
    await second.execDriverSql(`ALTER ROLE postgres PASSWORD '${passwords[0]}'`);
    await second.commit();
    await Promise.all([first.close(), second.close()]);
    await engine.aclose();
  });
});

describe('refused when the engine is made', () => {
  it.each([
    ['sslmode=on', /sslmode must be disable, allow,/],
    ['ssl=1', /ssl must be true or false/],
    ['ssl=true&sslmode=require', /Write sslmode alone/],
    ['gssencmode=require', /no GSSAPI encryption. Use sslmode/],
    ['sslsni=0', /Leave it out/],
    ['ssl_min_protocol_version=TLSv9', /ssl_min_protocol_version must be TLSv1/],
    ['require_auth=scram-sha-256,!md5', /require_auth must list/],
    ['require_auth=gss', /can only sign in by password, md5/],
    ['sslrootcert=/root.crt', /sslrootcert and no sslmode/],
    ['sslcert=/c.crt&sslkey=/c.key', /sslcert and no sslmode/],
    ['sslmode=require&sslcert=/c.crt', /needs both/],
    ['sslmode=require&sslrootcert=system', /needs sslmode=verify-full/],
    ['sslmode=prefer&sslnegotiation=direct', /sslnegotiation is direct, which needs/],
    ['sslnegotiation=quick&sslmode=require', /sslnegotiation must be postgres or direct/],
    ['channel_binding=always&sslmode=require', /channel_binding must be disable, prefer or require/],
  ])('%s', (query, message) => {
    const make = (): unknown => createAsyncEngine(`postgresql://h1/d?${query}`);
    expect(make).toThrow(ArgumentError);
    expect(make).toThrow(message);
  });
});
