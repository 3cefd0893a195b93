import {
  ArgumentError,
  type AsyncEngine,
  createAsyncEngine,
  makeUrl,
  OperationalError,
  text,
  type TextClause,
} from 'nest-async-engine/engine';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { freePort } from '../../../../lib/embedded/free-port.js';
import { eventually } from '../../../support/process/barrier.js';
import { queryOnce } from '../../../support/server/postgres.js';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../../lib/embedded/embedded-postgres.js';
import { failureOf } from '../../../support/items.js';

let servers: { readonly primary: EmbeddedPostgres; readonly standby: EmbeddedPostgres };
/** Nobody listens there. */
let deadPort: number;

type Name = 'primary' | 'standby' | 'dead';

const portOf = (name: Name): number => (name === 'dead' ? deadPort : servers[name].port);

function urlOf(names: readonly Name[], query = ''): string {
  const { password } = new URL(servers.primary.url);
  const hosts = names.map((name) => `127.0.0.1:${portOf(name)}`).join(',');
  return `postgresql://postgres:${password}@${hosts}/postgres?${query}`;
}

/** Which server a new connection is to. */
async function reached(url: string): Promise<Name> {
  const engine = createAsyncEngine(url);
  try {
    const isStandby = await engine.execDriverSql('SELECT pg_is_in_recovery()').scalar<boolean>();
    return isStandby === true ? 'standby' : 'primary';
  } finally {
    await engine.aclose();
  }
}

beforeAll(async () => {
  const primary = await startEmbeddedPostgres();
  servers = { primary, standby: await primary.addReplica() };
  deadPort = await freePort();
});

afterEach(() => vi.restoreAllMocks());
afterAll(() => servers.primary.stop());

describe('target_session_attrs', () => {
  it.each<[string, Name, readonly Name[]]>([
    ['any', 'standby', ['standby', 'primary']],
    ['any', 'primary', ['dead', 'primary', 'standby']],
    ['primary', 'primary', ['standby', 'primary']],
    ['standby', 'standby', ['primary', 'standby']],
    ['read-write', 'primary', ['standby', 'dead', 'primary']],
    ['read-only', 'standby', ['primary', 'standby']],
    ['prefer-standby', 'standby', ['primary', 'dead', 'standby']],
    ['prefer-standby', 'primary', ['dead', 'primary']],
  ])('%s takes the %s of %j', async (attributes, expected, names) => {
    expect(await reached(urlOf(names, `target_session_attrs=${attributes}`))).toBe(expected);
  });

  it('read-only takes a primary whose sessions are read-only by default', async () => {
    const options = encodeURIComponent('-c default_transaction_read_only=on');
    expect(await reached(urlOf(['primary'], `target_session_attrs=read-only&options=${options}`))).toBe(
      'primary',
    );
  });

  it('says of every host why it was not taken, and leaves no session on it', async () => {
    const url = urlOf(['primary', 'dead'], 'target_session_attrs=standby&application_name=seeker');
    const error = await failureOf(reached(url));
    expect(error).toBeInstanceOf(OperationalError);
    expect((error as Error).message).toMatch(
      /:\d+ is not what target_session_attrs=standby asks for; .*ECONNREFUSED/,
    );
    const sql = `SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name = 'seeker'`;
    expect(await queryOnce(servers.primary.url, sql)).toEqual([{ count: 0 }]);
  });

  it('does not ask the next host when the first has refused the user', async () => {
    const url = new URL(servers.standby.url);
    const hosts = `127.0.0.1:${portOf('primary')},127.0.0.1:${portOf('standby')}`;
    const error = await failureOf(reached(`postgresql://nobody:x@${hosts}${url.pathname}`));
    expect(error).toMatchObject({ sqlState: '28P01' });
  });
});

describe('load_balance_hosts', () => {
  it('random draws the order for each connection', async () => {
    const random = vi.spyOn(Math, 'random');
    const url = urlOf(['primary', 'standby'], 'load_balance_hosts=random');
    random.mockReturnValue(0);
    const low = await reached(url);
    random.mockReturnValue(0.99);
    expect([low, await reached(url)]).toEqual(['primary', 'standby']);
  });

  it('disable keeps the order of the URL', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.99);
    expect(await reached(urlOf(['primary', 'standby'], 'load_balance_hosts=disable'))).toBe('primary');
  });
});

describe('a server that has become read-only', () => {
  const pidOf = (engine: AsyncEngine): Promise<unknown> => engine.scalar(text('SELECT pg_backend_pid()'));
  const setReadOnly = async (value: 'on' | 'off'): Promise<void> => {
    const [url, pool] = [servers.primary.url, createAsyncEngine(servers.primary.url)];
    await queryOnce(url, `ALTER SYSTEM SET default_transaction_read_only = ${value}`);
    await queryOnce(url, 'SELECT pg_reload_conf()');
    await eventually(async () =>
      expect(await pool.scalar(text('SHOW default_transaction_read_only'))).toBe(value),
    );
    await pool.aclose();
  };
  afterEach(() => setReadOnly('off'));

  /** An engine of two idle sessions. */
  async function twoSessions(query = ''): Promise<AsyncEngine> {
    const engine = createAsyncEngine(urlOf(['primary'], query), { poolSize: 2, multiplex: false });
    const held = await Promise.all([engine.connect(), engine.connect()]);
    for (const connection of held) await connection.close();
    return engine;
  }

  it('is left by all sessions of the pool after the first write that it refused', async () => {
    await using engine = await twoSessions();
    const before = new Set([await pidOf(engine), await pidOf(engine)]);
    await setReadOnly('on');
    const refused = await failureOf(engine.execute(text('CREATE TABLE w (n int)')));
    expect(refused).toMatchObject({ sqlState: '25006', connectionInvalidated: true });
    await setReadOnly('off');
    const after = [await pidOf(engine), await pidOf(engine)];
    expect(after.filter((pid) => before.has(pid))).toEqual([]);
    expect(engine.pool.checkedOut()).toBe(0);
  });

  it.each<[string, (engine: AsyncEngine, write: TextClause) => Promise<unknown>]>([
    ['a root', (engine, write) => engine.transaction(() => engine.execute(write), { readOnly: true })],
    [
      'a nested transaction',
      (engine, write) =>
        engine.transaction(() => engine.transaction(() => engine.execute(write), { readOnly: true })),
    ],
    ['a stream', (engine) => engine.stream(text('SELECT lo_create(0)')).all()],
  ])('is not what refuses a write in %s that asked for it', async (_, work) => {
    await using engine = await twoSessions();
    const before = new Set([await pidOf(engine), await pidOf(engine)]);
    const refused = await failureOf(work(engine, text('CREATE TABLE w (n int)')));
    expect(refused).toMatchObject({ sqlState: '25006', connectionInvalidated: false });
    expect(before.has(await pidOf(engine))).toBe(true);
  });
});

describe('a host that does not answer', () => {
  let silent: Server;
  let calls: number;
  const sockets = new Set<Socket>();

  beforeAll(async () => {
    silent = createServer((socket) => {
      calls += 1;
      sockets.add(socket);
      socket.on('error', () => undefined);
    });
    await new Promise<void>((done) => silent.listen(0, '127.0.0.1', done));
  });
  beforeEach(() => {
    calls = 0;
  });
  afterAll(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((done) => silent.close(done));
  });

  const urlBehindSilence = (query = ''): string => {
    const { port } = silent.address() as AddressInfo;
    return urlOf(['primary'], query).replace('@', `@127.0.0.1:${port},`);
  };

  it.each([
    ['is tried by the first session alone', {}, 1],
    ['is tried by each session without the memory', { deadHostMemory: 0 }, 3],
  ])('%s', async (_, options, expected) => {
    const engine = createAsyncEngine(urlBehindSilence(), { connectTimeout: 300, ...options });
    for (let n = 0; n < 3; n += 1) {
      await using connection = await engine.connect();
      connection.invalidate();
    }
    expect(calls).toBe(expected);
    await engine.aclose();
  });

  it('is given no more than its part of connectTimeout', async () => {
    const engine = createAsyncEngine(urlBehindSilence(), { connectTimeout: 1_000 });
    const start = performance.now();
    await engine.ping();
    expect(performance.now() - start).toBeLessThan(1_000);
    await engine.aclose();
  });

  it('is still tried where all others fail', async () => {
    const { port } = silent.address() as AddressInfo;
    const url = urlOf(['dead']).replace('@', `@127.0.0.1:${port},`);
    const engine = createAsyncEngine(url, { connectTimeout: 200 });
    for (let n = 0; n < 2; n += 1) expect(await failureOf(engine.ping())).toBeInstanceOf(OperationalError);
    expect(calls).toBe(2);
    await engine.aclose();
  });
});

describe('refused when the engine is made', () => {
  it.each([
    ['target_session_attrs=master', /target_session_attrs must be any, read-write,/],
    ['load_balance_hosts=yes', /load_balance_hosts must be disable or random/],
    ['connect_timeout=soon', /connect_timeout must be a number of whole seconds/],
    ['schema=public&x=1', /unknown parameters: schema, x/],
    ['secret=password', /unknown parameters: secret\. Known are: host,/],
  ])('%s', (query, message) => {
    const make = (): unknown => createAsyncEngine(`postgresql://h1/d?${query}`);
    expect(make).toThrow(ArgumentError);
    expect(make).toThrow(message);
  });

  it.each(['sslmode', 'channel_binding', 'require_auth', 'ssl', 'gssencmode', 'connect_timeout', 'secret'])(
    '%s, without its value: it may be a password in the wrong place',
    (name) => {
      const make = (): unknown => createAsyncEngine(`postgresql://h1/d?${name}=4711471147`);
      expect(make).toThrow(ArgumentError);
      expect(make).not.toThrow(/4711/);
    },
  );

  it.each([
    ['schema=public', /search_path/],
    ['connection_limit=5', /poolSize/],
    ['pool_timeout=10', /poolTimeout/],
    ['tcp_user_timeout=1', /socketTimeout/],
    ['keepalives_interval=1&keepalives_count=2', /keepalives_interval: .*keepalives_count: /],
    ['service=x', /parameters into the URL/],
    ['currentSchema=x', /search_path/],
    ['uselibpqcompat=true', /sslmode has the meanings of libpq/],
  ])('%s, with what to write in its place', (query, hint) => {
    const make = (): unknown => createAsyncEngine(`postgresql://h1/d?${query}`);
    expect(make).toThrow(hint);
    expect(make).not.toThrow(/Known are/);
  });

  it.each(['sslmode', 'channel_binding', 'sslrootcert', 'require_auth', 'gssencmode'])(
    '%s without a value, as an unset variable of a template leaves it',
    (name) => {
      expect(() => createAsyncEngine(`postgresql://h1/d?${name}=`)).toThrow(ArgumentError);
      expect(() => createAsyncEngine(makeUrl('postgresql://h1/d').set({ query: { [name]: '' } }))).toThrow(
        ArgumentError,
      );
    },
  );

  it.each(['n1:70000', 'n1,', 'n1:1,n2:x'])('the host %s, which no attempt could reach', (host) => {
    expect(() => createAsyncEngine(`postgresql://u:p@/d?host=${host}`)).toThrow(ArgumentError);
  });
});

describe('understood as providers write it', () => {
  it('user, password and dbname in the query, which win over those in front of it', async () => {
    const { password } = new URL(servers.primary.url);
    const host = `127.0.0.1:${portOf('primary')}`;
    const query = `user=postgres&password=${password}&dbname=postgres`;
    expect(await reached(`postgresql://other:wrong@${host}/missing?${query}`)).toBe('primary');
  });

  it.each([
    'gssencmode=prefer',
    'gssencmode=disable',
    'sslsni=1',
    'require_auth=scram-sha-256',
    'keepalives_idle=60',
  ])('%s', async (query) => {
    expect(await reached(urlOf(['primary'], query))).toBe('primary');
  });

  it.each([
    ['', 'nae_'],
    ['pgbouncer=true', undefined],
    ['pgbouncer=false', 'nae_'],
  ])('%s: statements have the name %s…', async (query, name) => {
    await using engine = createAsyncEngine(urlOf(['primary'], query), { poolSize: 1, maxOverflow: 0 });
    await engine.execute(text('SELECT 1'));
    const names = await engine.scalars<string>(text('SELECT name FROM pg_prepared_statements'));
    expect(names.first()?.slice(0, 4)).toBe(name);
  });
});

describe('the environment', () => {
  afterEach(() => vi.unstubAllEnvs());

  it.each([
    ['PGSSLMODE', 'on', /environment's PGSSLMODE must be disable/],
    ['PGSSLMODE', '', /environment's PGSSLMODE is empty/],
    ['PGSSLROOTCERT', '/root.crt', /there is the environment's PGSSLROOTCERT and no sslmode/],
    ['PGCONNECT_TIMEOUT', 'soon', /PGCONNECT_TIMEOUT must be a number of whole seconds/],
    ['PGTARGETSESSIONATTRS', 'master', /PGTARGETSESSIONATTRS must be any,/],
    ['PGREQUIREAUTH', 'kerberos', /PGREQUIREAUTH must list/],
    ['PGCHANNELBINDING', 'always', /PGCHANNELBINDING must be/],
    ['PGSERVICE', 'shop', /PGSERVICE, which this driver does not follow\. Write the service's parameters/],
    ['PGREQUIRESSL', '1', /Set PGSSLMODE=require/],
  ])('%s=%s is refused', (variable, value, message) => {
    vi.stubEnv(variable, value);
    const make = (): unknown => createAsyncEngine('postgresql://h1/d');
    expect(make).toThrow(ArgumentError);
    expect(make).toThrow(message);
  });

  it('counts where the URL is silent: encryption that it asks for is not dropped', async () => {
    vi.stubEnv('PGSSLMODE', 'require');
    expect(String(await failureOf(reached(urlOf(['primary']))))).toContain('does not support SSL');
    expect(await reached(urlOf(['primary'], 'sslmode=disable'))).toBe('primary');
    expect(await reached(urlOf(['primary'], 'ssl=false'))).toBe('primary');
  });

  it('says which of the hosts is wanted', async () => {
    vi.stubEnv('PGTARGETSESSIONATTRS', 'standby');
    expect(await reached(urlOf(['primary', 'standby']))).toBe('standby');
  });

  it('names hosts, where the URL names none', async () => {
    const { username, password } = new URL(servers.primary.url);
    vi.stubEnv('PGHOST', '127.0.0.1,127.0.0.1');
    vi.stubEnv('PGPORT', `${deadPort},${portOf('primary')}`);
    expect(await reached(`postgresql:///postgres?user=${username}&password=${password}`)).toBe('primary');
  });
});
