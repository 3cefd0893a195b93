import { runAutocommitted, waitForConnection } from './autocommit.js';
import type { AutocommitHost } from './autocommit.js';
import { Carrier } from './shared-connection.js';
import type { CommandResult, Control } from '../driver/driver.js';
import type { Invocation } from './invocation.js';
import type { Pool } from '../pool/pool.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import type { StatementStats } from './statement-stats.js';
import { StatementStatsTable } from './statement-stats.js';

/** Connections that are shared at a time. */
const MOST_CARRIERS = 2;
/** Statements in flight on a shared connection before another one is taken for the next. */
const COMFORTABLE = 16;
const MOST_TEXTS = 1_000;

/**
 * Runs statements outside of transactions. Those known to be quick and to do nothing but read share a few
 * connections when there are many at once; each other one has a connection to itself, and so has the first
 * run of a text.
 */
export class Multiplexer {
  readonly #texts = new StatementStatsTable(MOST_TEXTS);
  readonly #carriers = new Set<Carrier>();

  run(host: AutocommitHost, invocation: Invocation, control: readonly Control[]): Promise<CommandResult> {
    const profile = this.#profileOf(host, invocation, control);
    if (profile === undefined) return runAutocommitted(host, invocation, control);
    if (!profile.isShareable) return runAutocommitted(host, invocation, control, profile);
    const carrier = this.#carrierFor(host);
    if (carrier !== undefined) return carrier.carry(host, invocation, profile);
    // Without a limit nobody has to wait for a connection, and none is kept to be shared.
    const isLimited = host.pool.size() > 0;
    return isLimited
      ? this.#carryLater(host, invocation, profile)
      : runAutocommitted(host, invocation, control, profile);
  }

  // Statements that were alone have all connections: without this, they would have them for as long as many
  // wait.
  async #carryLater(
    host: AutocommitHost,
    invocation: Invocation,
    profile: StatementStats,
  ): Promise<CommandResult> {
    const { pool } = host;
    const pooled = await waitForConnection(host, invocation);
    const carrier = this.#leastLoaded(pool);
    if (carrier === undefined) return await this.#launch(pool, pooled).carry(host, invocation, profile);
    void pooled.close();
    return await carrier.carry(host, invocation, profile);
  }

  /** Undefined for what must have a connection alone, whatever its text. */
  #profileOf(
    host: AutocommitHost,
    { commands, options, observer }: Invocation,
    control: readonly Control[],
  ): StatementStats | undefined {
    const [command] = commands;
    if (command === undefined || commands.length > 1 || control.length > 0) return undefined;
    // A CancelRequest hits whatever runs; a listener wants to know of one statement at a time.
    if (options.timeout !== undefined || options.signal !== undefined || observer !== undefined)
      return undefined;
    if (options.prepare === false || host.pool.views !== undefined) return undefined;
    const profile = this.#texts.of(command.text);
    return profile.isRead ? profile : undefined;
  }

  #carrierFor(host: AutocommitHost): Carrier | undefined {
    const best = this.#leastLoaded(host.pool);
    if (best !== undefined && (best.load < COMFORTABLE || this.#carriers.size >= MOST_CARRIERS)) return best;
    const pooled = host.pool.tryConnect();
    return pooled === undefined ? best : this.#launch(host.pool, pooled);
  }

  #leastLoaded(pool: Pool): Carrier | undefined {
    let best: Carrier | undefined;
    for (const carrier of this.#carriers) {
      if (carrier.isBoarding(pool) && (best === undefined || carrier.load < best.load)) best = carrier;
    }
    return best;
  }

  #launch(pool: Pool, pooled: PooledConnection): Carrier {
    const carrier: Carrier = new Carrier(pool, pooled, () => this.#carriers.delete(carrier));
    this.#carriers.add(carrier);
    return carrier;
  }
}
