import { setTimeout as wait } from 'node:timers/promises';
import { createAsyncEngine, sql, type AsyncEngine } from 'nest-async-engine/engine';
import { describe, expect, it } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../../lib/embedded/embedded-postgres.js';
import { LogLines } from '../../../support/doubles/log-lines.js';
import { Barrier, eventually } from '../../../support/process/barrier.js';
import { queryOnce } from '../../../support/server/postgres.js';
import { killServer, promote, reconfigure } from '../../../support/server/standby.js';

/** How often a primary is killed: `npm run test:failover` says 10. */
const ROUNDS = Number(process.env['FAILOVERS'] ?? 1);
const WRITERS = 8;
const READERS = 8;
/** Of a pool of the default size. */
const SESSIONS = 15;

/** A primary, a standby that has each write before it is acknowledged, and one that may be late. */
async function startCluster(): Promise<[EmbeddedPostgres, EmbeddedPostgres, EmbeddedPostgres]> {
  const settings = { synchronous_commit: 'on' };
  const primary = await startEmbeddedPostgres({ replicas: 2, settings });
  await queryOnce(primary.url, 'CREATE TABLE orders (id text)');
  await reconfigure(primary, { synchronous_standby_names: 'replica_1' });
  const [first, second] = primary.replicas as [EmbeddedPostgres, EmbeddedPostgres];
  return [primary, first, second];
}

function engineOf(servers: readonly EmbeddedPostgres[]): AsyncEngine {
  const { password } = new URL(servers[0]?.url ?? '');
  const hosts = servers.map(({ host, port }) => `${host}:${port}`).join(',');
  return createAsyncEngine(
    `postgresql://postgres:${password}@${hosts}/postgres?target_session_attrs=primary`,
    {
      logger: new LogLines(),
      replicas: { url: servers.map(({ url }) => url), checkInterval: 100 },
    },
  );
}

/** Callers that go on until they are stopped. */
class Load {
  readonly acknowledged: { readonly id: string; readonly at: number }[] = [];
  readonly readErrors: unknown[] = [];
  reads = 0;
  #state: 'running' | 'stopped' = 'running';
  readonly #callers: Promise<void>[];

  constructor(engine: AsyncEngine) {
    const writers = Array.from({ length: WRITERS }, (_, index) => this.#write(engine, index));
    const readers = Array.from({ length: READERS }, () => this.#read(engine));
    this.#callers = [...writers, ...readers];
  }

  async stop(): Promise<void> {
    this.#state = 'stopped';
    await Promise.all(this.#callers);
  }

  async #write(engine: AsyncEngine, writer: number): Promise<void> {
    for (let count = 0; this.#state === 'running'; count += 1) {
      const id = `${writer}-${count}`;
      try {
        await engine.transaction(() => engine.execute(sql`INSERT INTO orders VALUES (${id})`));
        this.acknowledged.push({ id, at: performance.now() });
      } catch {
        await wait(10);
      }
    }
  }

  async #read(engine: AsyncEngine): Promise<void> {
    while (this.#state === 'running') {
      try {
        await engine.scalar(sql`SELECT count(*) FROM orders`, undefined, { readOnly: true });
        this.reads += 1;
      } catch (error) {
        this.readErrors.push(error);
        await wait(10);
      }
    }
  }
}

describe('a primary that is killed under load while a standby is promoted', () => {
  it.each(Array.from({ length: ROUNDS }, (_, index) => index + 1))(
    'costs no acknowledged write and no read, and is left for the new one (%i)',
    async () => {
      const servers = await startCluster();
      const [primary, heir, other] = servers;
      const engine = engineOf(servers);
      try {
        const load = new Load(engine);
        await eventually(() => expect(load.acknowledged.length).toBeGreaterThan(50), 30_000);
        await killServer(primary);
        await promote(heir);
        const promotedAt = performance.now();
        await reconfigure(other, { primary_conninfo: conninfoOf(heir) });
        await eventually(() => expect(load.acknowledged.at(-1)?.at).toBeGreaterThan(promotedAt), 30_000);
        const first = load.acknowledged.find(({ at }) => at > promotedAt)?.at ?? Infinity;
        await eventually(() => {
          const roles = engine.replicas.status().map(({ role, usable }) => [role, usable]);
          expect(roles.slice(1)).toEqual([
            ['primary', false],
            ['standby', true],
          ]);
        }, 30_000);
        await load.stop();
        const stored = await queryOnce<{ id: string }>(heir.url, 'SELECT id FROM orders');
        const ids = stored.map(({ id }) => id);
        expect(load.acknowledged.filter(({ id }) => !ids.includes(id))).toEqual([]);
        expect(new Set(ids).size).toBe(ids.length);
        expect(load.readErrors).toEqual([]);
        expect(load.reads).toBeGreaterThan(0);
        // A second by itself; this machine may have other work.
        expect(first - promotedAt).toBeLessThan(10_000);
        expect(await rolesOfAllSessions(engine, {})).toEqual([false]);
        expect(await rolesOfAllSessions(engine, { readOnly: true })).toEqual([true]);
        if (process.env['FAILOVERS'] !== undefined)
          console.log(
            `first write ${Math.round(first - promotedAt)} ms after the promotion, ${load.acknowledged.length} writes, ${load.reads} reads`,
          );
      } finally {
        await engine.aclose();
        await Promise.all(servers.map((server) => server.stop()));
      }
    },
    120_000,
  );
});

/** Whether the servers of all sessions that the pool may open are standbys. */
async function rolesOfAllSessions(
  engine: AsyncEngine,
  options: { readonly readOnly?: true },
): Promise<unknown[]> {
  const together = new Barrier(SESSIONS);
  const roles = Array.from({ length: SESSIONS }, () =>
    engine.transaction(async () => {
      const isStandby = await engine.scalar(sql`SELECT pg_is_in_recovery()`);
      await together.arrive();
      return isStandby;
    }, options),
  );
  return [...new Set(await Promise.all(roles))];
}

function conninfoOf({ host, port, url }: EmbeddedPostgres): string {
  return `host=${host} port=${port} user=postgres password=${new URL(url).password} application_name=replica_2`;
}
