import type { AutocommitHost } from './autocommit.js';
import { runAutocommitted } from './autocommit.js';
import type { CommandResult, Control } from '../driver/driver.js';
import { classifyFailure } from './connection-observer.js';
import type { Invocation } from './invocation.js';
import type { Pool } from '../pool/pool.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import type { StatementStats } from './statement-stats.js';

/** Statements in flight on one connection at most. */
const CAPACITY = 64;
/** Milliseconds without an answer after which those behind the running statement are sent elsewhere. */
const STUCK = 50;
/** Milliseconds for which new ones may come aboard while somebody waits for a connection. */
const TURN = 20;

const NO_CONTROL: readonly Control[] = [];
const PIPELINED = { isPipelined: true } as const;

/** A statement on its way, and whoever waits for it. */
interface Rider {
  readonly host: AutocommitHost;
  readonly invocation: Invocation;
  readonly profile: StatementStats;
  readonly sentAt: number;
  /** Tells the caller; of two answers, the second is of no consequence. */
  readonly resolve: (result: CommandResult | Promise<CommandResult>) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A pooled connection that carries plain reads of many callers at once: each is sent without waiting for the
 * answers to those before it, and has its own answer or error. It goes back to the pool with the last of
 * them.
 */
export class Carrier {
  readonly #pool: Pool;
  readonly #pooled: PooledConnection;
  readonly #left: () => void;
  /** In the order in which they were sent: the first one runs. */
  readonly #riders = new Set<Rider>();
  readonly #since = performance.now();
  #state: 'boarding' | 'full' | 'lost' = 'boarding';
  #lastAnswer = 0;
  #answers = 0;
  #watchdog: NodeJS.Timeout | undefined;

  /** `left` is called when the connection goes back. */
  constructor(pool: Pool, pooled: PooledConnection, left: () => void) {
    this.#pool = pool;
    this.#pooled = pooled;
    this.#left = left;
  }

  get load(): number {
    return this.#riders.size;
  }

  isBoarding(pool: Pool): boolean {
    const isFree = this.#state === 'boarding' && this.#riders.size < CAPACITY;
    if (!isFree || this.#pool !== pool || !this.#pooled.isValid) return false;
    // Without an end, those who share would keep the connection from whoever needs one alone.
    return pool.waiting() === 0 || performance.now() - this.#since < TURN;
  }

  carry(host: AutocommitHost, invocation: Invocation, profile: StatementStats): Promise<CommandResult> {
    return new Promise((resolve, reject) => {
      const rider: Rider = { host, invocation, profile, sentAt: performance.now(), resolve, reject };
      this.#riders.add(rider);
      this.#pooled.session.execute(NO_CONTROL, invocation.command, PIPELINED).then(
        (result) => this.#answered(rider, result),
        (error: unknown) => this.#failed(rider, error),
      );
      if (this.#riders.size > 1) this.#watchdog ??= this.#watch();
    });
  }

  #answered(rider: Rider, result: CommandResult): void {
    const now = performance.now();
    // It ran from the answer before its own; until then it stood in line.
    rider.profile.note(now - Math.max(rider.sentAt, this.#lastAnswer));
    this.#lastAnswer = now;
    rider.resolve(result);
    this.#leave(rider);
  }

  #failed(rider: Rider, error: unknown): void {
    const wasLost = this.#state === 'lost';
    const { isDisconnect, invalidatesPool } = classifyFailure(error, rider.host.engineObserver());
    if (isDisconnect && wasLost) this.#sendElsewhere(rider);
    else rider.reject(error);
    if (isDisconnect && !wasLost) {
      this.#state = 'lost';
      if (invalidatesPool) this.#pool.invalidateAll(this.#pooled);
      this.#pooled.invalidate(error);
    }
    this.#leave(rider);
  }

  #leave(rider: Rider): void {
    this.#answers += 1;
    this.#riders.delete(rider);
    if (this.#riders.size > 0) return;
    clearTimeout(this.#watchdog);
    this.#left();
    void this.#pooled.close();
  }

  /** What never began, or only reads and has given no answer, may be sent again. */
  #sendElsewhere({ host, invocation, resolve }: Rider): void {
    resolve(runAutocommitted(host, invocation, NO_CONTROL));
  }

  // Nobody shall wait behind a slow neighbour: one that was always quick may meet a lock.
  #watch(): NodeJS.Timeout {
    const answers = this.#answers;
    const look = (): void => {
      this.#watchdog = undefined;
      if (this.#answers === answers) this.#rescue();
      else if (this.#riders.size > 1) this.#watchdog = this.#watch();
    };
    // Where the process itself was busy, the answers may be there already and only have to be read.
    return setTimeout(() => setImmediate(look), STUCK).unref();
  }

  #rescue(): void {
    const [running, ...others] = this.#riders;
    this.#state = 'full';
    running?.profile.note(10 * STUCK);
    for (const rider of others) this.#sendElsewhere(rider);
  }
}
