import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../lib/embedded/embedded-postgres.js';
import { freePort } from '../../lib/embedded/free-port.js';
import { eventually } from '../support/process/barrier.js';
import { queryOnce } from '../support/server/postgres.js';
import { startFaultyProxy, type FaultyProxy } from '../support/server/faulty-proxy.js';
import type { Random } from '../support/random.js';

/** A PostgreSQL that can be killed and started again on its data, behind a proxy that can break the network. */
export class MortalServer implements AsyncDisposable {
  readonly proxy: FaultyProxy;
  readonly #folder: string;
  readonly #port: number;
  readonly #settings: Readonly<Record<string, string>>;
  #server: EmbeddedPostgres;

  private constructor(
    folder: string,
    port: number,
    settings: Readonly<Record<string, string>>,
    server: EmbeddedPostgres,
    proxy: FaultyProxy,
  ) {
    this.#folder = folder;
    this.#port = port;
    this.#settings = settings;
    this.#server = server;
    this.proxy = proxy;
  }

  static async start(settings: Readonly<Record<string, string>> = {}): Promise<MortalServer> {
    const folder = await mkdtemp(join(tmpdir(), 'mortal-server-'));
    await chmod(folder, 0o755);
    const port = await freePort();
    const server = await startEmbeddedPostgres({ dataDir: join(folder, 'data'), port, settings });
    return new MortalServer(folder, port, settings, server, await startFaultyProxy(server.url));
  }

  /** Through the proxy. */
  get url(): string {
    return this.proxy.url;
  }

  get directUrl(): string {
    return this.#server.url;
  }

  query<R extends Record<string, unknown>>(statement: string): Promise<R[]> {
    return queryOnce<R>(this.#server.url, statement);
  }

  /** The faults of this server, without its death. */
  faults(): (() => unknown)[] {
    return [
      () => this.proxy.cut(),
      () => this.proxy.cut(),
      () => this.#terminateSome(),
      () => this.#stallFor(40),
      () => this.proxy.delay(2),
      () => this.proxy.delay(0),
    ];
  }

  /** Dies as by `kill -9` and comes back, once for each of `times`. */
  deaths(times: number, random: Random): () => Promise<void> {
    let left = times;
    return async () => {
      if (left === 0) return;
      left -= 1;
      await (random(2) === 0 ? this.#kill() : this.#server.stop());
      await this.#startAgain();
    };
  }

  async #kill(): Promise<void> {
    const lines = (await readFile(join(this.#folder, 'data', 'postmaster.pid'), 'utf8')).split('\n');
    process.kill(Number(lines[0]), 'SIGKILL');
    await this.#server.stop();
  }

  // The sessions of a server that was killed hold its memory for a moment.
  async #startAgain(): Promise<void> {
    this.#server = await eventually(
      () =>
        startEmbeddedPostgres({
          dataDir: join(this.#folder, 'data'),
          port: this.#port,
          settings: this.#settings,
        }),
      30_000,
    );
  }

  // A server that is full refuses this too.
  async #terminateSome(): Promise<void> {
    const terminating = this.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND random() < 0.4`,
    );
    await terminating.catch(() => undefined);
  }

  async #stallFor(milliseconds: number): Promise<void> {
    this.proxy.stall();
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    this.proxy.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy.close();
    await this.#server.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
