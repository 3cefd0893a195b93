import { OperationalError } from '../engine/errors/server-errors.js';
import type { ReplicaSource } from './watchdog-process.js';
import type { RunningPostgres } from './launcher.js';
import { host } from './embedded-options.js';

/** Milliseconds between two looks at whether a replica streams, and until it must. */
const LOOK = 20;
const STREAM_DEADLINE = 30_000;

type Client = InstanceType<(typeof import('pg'))['Client']>;

/**
 * Lets a running server be copied for a replica, over SQL: `pg_basebackup` is not among the npm package's
 * programs.
 */
export class BaseBackup implements ReplicaSource, AsyncDisposable {
  readonly dataDir: string;
  readonly #primary: RunningPostgres;
  readonly #client: Client;
  readonly #name: string;

  private constructor(primary: RunningPostgres, client: Client, name: string) {
    this.dataDir = primary.dataDir;
    this.#primary = primary;
    this.#client = client;
    this.#name = name;
  }

  /** `name` is the replica's `application_name` on the server. */
  static async of(primary: RunningPostgres, name: string): Promise<BaseBackup> {
    // Loaded only here: a server without replicas is started without a client.
    const { default: pg } = await import('pg');
    const client = new pg.Client({ connectionString: primary.url });
    // A server that is stopped meanwhile fails the query that runs, too.
    client.on('error', () => undefined);
    await client.connect().catch(refuse);
    return new BaseBackup(primary, client, name);
  }

  async begin(): Promise<void> {
    await this.#ask('SELECT pg_backup_start($1, TRUE)', [this.#name]);
  }

  async finish(): Promise<readonly string[]> {
    const [row] = await this.#ask('SELECT labelfile FROM pg_backup_stop(FALSE)');
    const { port, launch } = this.#primary;
    const connection = `host=${host} port=${port} user=postgres password=${launch.password} application_name=${this.#name}`;
    return [connection, ...String(row?.['labelfile']).trimEnd().split('\n')];
  }

  /** Resolves when the replica gets what is written on the server from now on. */
  async untilStreaming(): Promise<void> {
    const deadline = performance.now() + STREAM_DEADLINE;
    while (performance.now() < deadline) {
      const found = await this.#ask(
        `SELECT FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'`,
        [this.#name],
      );
      if (found.length > 0) return;
      await new Promise((resolve) => setTimeout(resolve, LOOK));
    }
    throw new OperationalError(
      `the replica ${this.#name} of the embedded PostgreSQL did not stream within ${STREAM_DEADLINE} ms. ` +
        'Look for what keeps the machine busy, or start fewer replicas.',
    );
  }

  async #ask(text: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
    const { rows } = await this.#client.query<Record<string, unknown>>(text, [...values]).catch(refuse);
    return rows;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end().catch(() => undefined);
  }
}

function refuse(cause: unknown): never {
  throw new OperationalError(
    `the embedded PostgreSQL could not be copied for a replica: ${String(cause)}. Add replicas to a server that runs.`,
    { cause },
  );
}
