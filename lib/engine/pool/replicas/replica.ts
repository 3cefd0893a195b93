import type { Driver } from '../../driver/driver.js';
import { askOnce } from './ask-once.js';
import type { Pool } from '../pool.js';
import { lsnNumber } from './lsn.js';
import type { LagClock } from './lag-clock.js';
import { ReplayProgress } from './replay-progress.js';

/** What a replica says of itself. */
const QUESTION = `SELECT pg_is_in_recovery() AS "standby",
  current_setting('server_version_num')::int AS "version",
  pg_last_wal_replay_lsn()::text AS "replayed",
  pg_last_wal_receive_lsn() IS NOT DISTINCT FROM pg_last_wal_replay_lsn() AS "atEnd",
  (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::float8 AS "age"`;

interface Answer {
  readonly standby: boolean;
  readonly version: number;
  readonly replayed: string | null;
  /** All that has arrived is applied. */
  readonly atEnd: boolean;
  /** Milliseconds since the last transaction that was applied had committed. */
  readonly age: number | null;
}

/** The first version with WAIT FOR LSN. */
const WAITING_VERSION = 190_000;

/** Why a replica takes no work. */
export type ReplicaProblem = 'unknown' | 'unreachable' | 'primary' | 'lag';

/** The replicas of an engine. */
export interface Replicas {
  /** How each of them is now, in the order of the option `replicas`. */
  status(): readonly ReplicaStatus[];
}

/** One replica as it is at a moment; see `engine.replicas.status()`. */
export interface ReplicaStatus {
  /** Host and port. */
  readonly host: string;
  /** `primary`: it was promoted, and takes no work as a replica. Undefined before it has answered. */
  readonly role: 'standby' | 'primary' | undefined;
  /** Milliseconds behind the primary, at most; undefined where nothing is known. */
  readonly lag: number | undefined;
  /** True: it takes work. */
  readonly usable: boolean;
  /** Why it takes none; `unknown` before it was asked. */
  readonly problem: ReplicaProblem | undefined;
  readonly checkedOut: number;
  readonly waiting: number;
}

/** A standby with a pool of its own. */
export class Replica {
  readonly host: string;
  readonly progress = new ReplayProgress();
  readonly #driver: Driver;
  #pool: Pool;
  /** Undefined: it takes work. */
  #problem: ReplicaProblem | undefined = 'unknown';
  #role: ReplicaStatus['role'];
  #lag: number | undefined;
  #version = 0;
  /** Aborted when it can't be reached any more: callers that wait for a connection go elsewhere. */
  #reachable = new AbortController();

  constructor(host: string, driver: Driver, pool: Pool) {
    this.host = host;
    this.#driver = driver;
    this.#pool = pool;
  }

  get pool(): Pool {
    return this.#pool;
  }

  get isUsable(): boolean {
    return this.#problem === undefined;
  }

  get problem(): ReplicaProblem | undefined {
    return this.#problem;
  }

  /** True: the server itself can wait for a write to arrive. */
  get canWait(): boolean {
    return this.#version >= WAITING_VERSION;
  }

  get unreachable(): AbortSignal {
    return this.#reachable.signal;
  }

  get status(): ReplicaStatus {
    const { host, pool } = this;
    return {
      host,
      role: this.#role,
      lag: this.#lag,
      usable: this.isUsable,
      problem: this.#problem,
      checkedOut: pool.checkedOut(),
      waiting: pool.waiting(),
    };
  }

  /** Work that is under way, or waits. */
  get load(): number {
    return this.#pool.checkedOut() + this.#pool.waiting();
  }

  /** Asks it for its role and its lag. Rejects where it does not answer in `timeout` ms. */
  async examine(clock: LagClock, maxLag: number, timeout: number): Promise<void> {
    const answer = (await askOnce(this.#pool, QUESTION, { timeout })) as unknown as Answer;
    this.#version = answer.version;
    this.#role = answer.standby ? 'standby' : 'primary';
    this.#lag = answer.standby ? lagIn(answer, clock) : undefined;
    this.progress.reaches(lsnNumber(answer.replayed) ?? 0n);
    this.#problem = answer.standby ? ((this.#lag ?? 0) > maxLag ? 'lag' : undefined) : 'primary';
    if (this.#reachable.signal.aborted) this.#reachable = new AbortController();
    // Its sessions may be on a server that has left the cluster, or on the other one behind an address.
    if (!answer.standby) this.#pool.invalidateAll();
  }

  /** It can't be reached: what waits for it goes elsewhere, and its sessions are replaced. */
  lose(cause: unknown): void {
    this.#lag = undefined;
    this.#problem = 'unreachable';
    this.#pool.invalidateAll();
    this.#reachable.abort(cause);
  }

  /** Ends its connections; with `isFinal` for good, else a new pool takes over. */
  async dispose(isFinal: boolean): Promise<void> {
    const former = this.#pool;
    if (!isFinal) {
      this.#pool = former.recreate();
      this.#pool.views = former.views;
    }
    await former.dispose();
    if (isFinal) await this.#driver.close?.();
  }
}

/**
 * The lower of two bounds: the clock's is as coarse as its samples, the age grows while nothing is written.
 */
function lagIn({ replayed, atEnd, age }: Answer, clock: LagClock): number | undefined {
  const lsn = lsnNumber(replayed);
  const byClock = lsn === undefined ? undefined : clock.lagOf(lsn);
  if (byClock === undefined && atEnd) return 0;
  const bound = Math.min(byClock ?? Infinity, age ?? Infinity);
  return byClock === undefined && age === null ? undefined : Math.max(0, bound);
}
