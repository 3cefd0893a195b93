import { randomUUID } from 'node:crypto';
import { startEmbeddedPostgres } from 'nest-async-engine/testing';
import pg from 'pg';
import { SCHEMA } from './fixtures.js';
import { Observer } from './observer.js';

/** Every contender of a workload keeps its pool open beside the others. */
const MAX_CONNECTIONS = '300';

/** A database of our own with the fixtures in it. */
export class BenchDatabase {
  readonly url: string;
  /** As `SHOW server_version` tells it. */
  readonly version: string;
  readonly #close: () => Promise<void>;

  private constructor(url: string, version: string, close: () => Promise<void>) {
    this.url = url;
    this.version = version;
    this.#close = close;
  }

  /** On the server of `given`, else on one that is started for it and ends with it. */
  static async open(given: string | undefined): Promise<BenchDatabase> {
    const server =
      given === undefined || given === ''
        ? await startEmbeddedPostgres({ settings: { max_connections: MAX_CONNECTIONS } })
        : { url: given, stop: () => Promise.resolve() };
    const name = `bench_${randomUUID().slice(0, 8)}`;
    const version = await createDatabase(server.url, name);
    const url = new URL(server.url);
    url.pathname = `/${name}`;
    await Observer.ask(url.href, (observer) => observer.execute(`${SCHEMA}; ANALYZE;`));
    return new BenchDatabase(url.href, version, async () => {
      await Observer.ask(server.url, (observer) => observer.execute(`DROP DATABASE "${name}" WITH (FORCE)`));
      await server.stop();
    });
  }

  close(): Promise<void> {
    return this.#close();
  }
}

async function createDatabase(server: string, name: string): Promise<string> {
  const client = new pg.Client(server);
  await client.connect();
  try {
    await client.query(`CREATE DATABASE "${name}"`);
    // The disk of the machine is not what is compared.
    await client.query(`ALTER DATABASE "${name}" SET synchronous_commit = off`);
    const { rows } = await client.query<{ readonly server_version: string }>('SHOW server_version');
    return rows[0]?.server_version.split(' ', 1)[0] ?? 'unknown';
  } finally {
    await client.end();
  }
}
