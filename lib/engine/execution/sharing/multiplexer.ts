import { runAutocommitted, waitForConnection, type AutocommitHost } from '../autocommit.js';
import { SharedConnection } from './shared-connection.js';
import type { CommandResult, Control } from '../../driver/driver.js';
import type { Invocation } from '../invocation.js';
import type { Pool } from '../../pool/pool.js';
import type { PooledConnection } from '../../pool/pooled-connection.js';
import { StatementStatsTable, type StatementStats } from './statement-stats.js';

/**
 * Milliseconds that the server may need for what is in flight on one connection: about a round trip. A read
 * that takes longer than that by itself, because it waits inside the server, is not shared.
 */
const BUDGET = 1;
/** Shared connections that are filled before another one is taken only because of their number of reads. */
const PREFERRED_CONNECTIONS = 2;
/** Reads in flight on a shared connection before another one is taken for the next. */
const TARGET_LOAD = 16;
const MOST_TEXTS = 1_000;

const NO_CONTROL: readonly Control[] = [];

/**
 * Runs statements outside of transactions. Those known to be quick and to do nothing but read share a few
 * connections when there are many at once; each other one has a connection to itself, and so has the first
 * run of a text.
 */
export class Multiplexer {
  readonly #texts = new StatementStatsTable(MOST_TEXTS);
  readonly #shared = new Set<SharedConnection>();

  run(host: AutocommitHost, invocation: Invocation, control: readonly Control[]): Promise<CommandResult> {
    const shared = control.length > 0 ? undefined : this.runRead(host, invocation);
    return shared ?? runAutocommitted(host, invocation, control);
  }

  /** Undefined for what must have a connection alone, whatever its text. */
  runRead(host: AutocommitHost, invocation: Invocation): Promise<CommandResult> | undefined {
    const stats = this.#statsOf(host, invocation);
    if (stats === undefined) return undefined;
    const { serviceTime } = stats;
    if (serviceTime === undefined || serviceTime > BUDGET)
      return runAutocommitted(host, invocation, NO_CONTROL, { stats });
    const best = this.#shared.size === 0 ? undefined : this.#leastLoaded(host.pool);
    if (best !== undefined && this.#hasRoom(best, serviceTime)) return best.execute(host, invocation, stats);
    const pooled = host.pool.tryConnect();
    const shared = pooled === undefined ? best : this.#share(host.pool, pooled);
    if (shared !== undefined) return shared.execute(host, invocation, stats);
    // A pool without a limit has a connection for each: none is kept to be shared.
    const isLimited = host.pool.size() > 0;
    return isLimited
      ? this.#executeLater(host, invocation, stats)
      : runAutocommitted(host, invocation, NO_CONTROL, { stats });
  }

  // Exclusive statements have all connections. The reads that wait share the first that becomes free, or the
  // exclusive ones would keep all of them for as long as many wait.
  async #executeLater(
    host: AutocommitHost,
    invocation: Invocation,
    stats: StatementStats,
  ): Promise<CommandResult> {
    const pooled = await waitForConnection(host, invocation);
    const { pool } = host;
    const shared = this.#leastLoaded(pool);
    if (shared === undefined) return await this.#share(pool, pooled).execute(host, invocation, stats);
    void pooled.close();
    return await shared.execute(host, invocation, stats);
  }

  #statsOf(host: AutocommitHost, { commands, options }: Invocation): StatementStats | undefined {
    const [command] = commands;
    if (command === undefined || commands.length > 1) return undefined;
    // A CancelRequest hits whatever runs.
    if (options.timeout !== undefined || options.signal !== undefined) return undefined;
    if (options.prepare === false || host.pool.views !== undefined) return undefined;
    const stats = this.#texts.of(command.text);
    return stats.isRead ? stats : undefined;
  }

  #hasRoom(shared: SharedConnection, serviceTime: number): boolean {
    if (shared.backlog + serviceTime > BUDGET) return false;
    return shared.load < TARGET_LOAD || this.#shared.size >= PREFERRED_CONNECTIONS;
  }

  #leastLoaded(pool: Pool): SharedConnection | undefined {
    let best: SharedConnection | undefined;
    for (const shared of this.#shared) {
      if (shared.acceptsReads(pool) && (best === undefined || shared.load < best.load)) best = shared;
    }
    return best;
  }

  #share(pool: Pool, pooled: PooledConnection): SharedConnection {
    const shared: SharedConnection = new SharedConnection(pool, pooled, () => this.#shared.delete(shared));
    this.#shared.add(shared);
    return shared;
  }
}
