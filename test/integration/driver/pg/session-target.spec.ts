import { ArgumentError, createAsyncEngine, OperationalError } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { freePort } from '../../../../lib/embedded/free-port.js';
import { queryOnce } from '../../../support/server/postgres.js';
import { startReplicatedPostgres, type ReplicatedPostgres } from '../../../support/server/replica.js';
import { failureOf } from '../../../support/items.js';

let servers: ReplicatedPostgres;
/** Nobody listens there. */
let deadPort: number;

type Name = 'primary' | 'standby' | 'dead';

const portOf = (name: Name): number => (name === 'dead' ? deadPort : servers[name].port);

function urlOf(names: readonly Name[], query: string): string {
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
  servers = await startReplicatedPostgres();
  deadPort = await freePort();
});

afterEach(() => vi.restoreAllMocks());
afterAll(() => servers.stop());

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

describe('refused when the engine is made', () => {
  it.each([
    ['target_session_attrs=master', /target_session_attrs is 'master': it takes any, read-write/],
    ['load_balance_hosts=yes', /load_balance_hosts is 'yes'/],
    ['connect_timeout=soon', /connect_timeout is 'soon'/],
    ['schema=public&x=1', /unknown parameters: schema, x/],
    ['password=secret', /unknown parameters: password\./],
  ])('%s', (query, message) => {
    const make = (): unknown => createAsyncEngine(`postgresql://h1/d?${query}`);
    expect(make).toThrow(ArgumentError);
    expect(make).toThrow(message);
    expect(make).not.toThrow(/secret/);
  });
});
