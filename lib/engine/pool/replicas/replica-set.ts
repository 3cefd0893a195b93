import { setTimeout as wait } from 'node:timers/promises';
import { DBAPIError, NoReplicaError, PoolTimeoutError } from '../../errors/errors.js';
import { endInFrontOf, lsnNumber } from './lsn.js';
import { askOnce } from './ask-once.js';
import type { Pool } from '../pool.js';
import { LagClock } from './lag-clock.js';
import type { AwaitedWrite } from './replay-progress.js';
import { WriteMark } from './write-mark.js';
import type { Replica, ReplicaStatus } from './replica.js';
import type { ResolvedReplicaOptions } from './replica-options.js';
import { reasonOf } from '../../errors/thrown.js';
import { unref } from '../../util/clock.js';

const PRIMARY_QUESTION = `SELECT pg_is_in_recovery() AS "standby",
  CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_lsn()::text END AS "lsn",
  current_setting('wal_block_size')::int AS "blockSize"`;

/** Milliseconds that an examination may take at least, on a busy machine. */
const PATIENCE = 1_000;

/** Milliseconds between two questions of the first examination. */
const BETWEEN_QUESTIONS = 10;

/** Milliseconds for which the primary's places are remembered at least. */
const MEMORY = 60_000;
/** For the engine's own writes: what is older, replicas were seen to have when they were examined. */
const RECENTLY = { memory: 2_000, resolution: 2 } as const;

/** Is told what happens to replicas. */
export interface ReplicaListener {
  replicaUp(host: string): void;
  replicaDown(host: string, reason: string): void;
  replicaFallback(reason: string): void;
  replicaBehind(host: string): void;
}

/** The replicas of an engine: which take work, and which of them is next. */
export class ReplicaSet {
  readonly options: ResolvedReplicaOptions;
  /** Of all that the engine has written. */
  readonly writes = new WriteMark();
  readonly #recent = new LagClock(RECENTLY);
  readonly #replicas: readonly Replica[];
  readonly #primary: () => Pool;
  readonly #clock: LagClock;
  /** Of the primary's log, in bytes; 0: it has not said yet. */
  #blockSize = 0n;
  #listener: ReplicaListener | undefined;
  /** How many tests have replaced the primary's pool, so that all work goes there. */
  #bypasses = 0;
  /** What was told of each. */
  readonly #told = new Map<Replica, string | undefined>();
  #timer: NodeJS.Timeout | undefined;
  #examination: Promise<void> | undefined;
  #state: 'unasked' | 'known' | 'closed' = 'unasked';
  /** Called when a replica takes work. */
  readonly #waiting: (() => void)[] = [];

  constructor(options: ResolvedReplicaOptions, replicas: readonly Replica[], primary: () => Pool) {
    this.options = options;
    this.#replicas = replicas;
    this.#primary = primary;
    this.#clock = new LagClock({ memory: Math.max(MEMORY, 2 * options.maxLag), resolution: 0 });
  }

  /** The engine, which is made after it, hears what happens. */
  listen(listener: ReplicaListener): void {
    this.#listener = listener;
    for (const { host, pool } of this.#replicas) pool.serveReplica(host, this.#primary());
  }

  status(): readonly ReplicaStatus[] {
    return this.#replicas.map(({ status }) => status);
  }

  get isBypassed(): boolean {
    return this.#bypasses > 0;
  }

  /** All work goes to the primary's pool until the function that it gives is called. */
  bypass(): () => void {
    this.#bypasses += 1;
    return () => {
      this.#bypasses -= 1;
    };
  }

  /** Waits, before the first choice, until a replica has said that it can take work, or none can. */
  ready(): Promise<void> | undefined {
    if (this.#state !== 'unasked') return undefined;
    return this.#examineFirst();
  }

  async #examineFirst(): Promise<void> {
    const examination = (this.#examination ??= this.#examineUntilKnown());
    await Promise.race([examination, this.#untilUsable()]);
    if (this.#state === 'unasked') this.#state = 'known';
  }

  /**
   * A lag is measured against an earlier place of the primary. Before there is one, a replica that applies
   * something seems as far behind as its last transaction is old: it is asked again for `waitForWrites`.
   */
  async #examineUntilKnown(): Promise<void> {
    const end = performance.now() + this.options.waitForWrites;
    await this.#examine();
    while (this.#state === 'unasked' && performance.now() < end) {
      if (this.#replicas.every(({ problem }) => problem !== 'lag')) return;
      await wait(BETWEEN_QUESTIONS);
      await this.#examine();
    }
  }

  #untilUsable(): Promise<void> {
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  /** The engine has written at `lsn`, to which the places behind it belong too. */
  noteWrite(lsn: string | undefined): void {
    this.writes.note(lsn);
    const number = lsnNumber(lsn);
    if (number !== undefined) this.#recent.note(number);
  }

  /** What a read has to see that comes behind `mark`; undefined: nothing. */
  awaited({ lsn: next }: WriteMark): AwaitedWrite | undefined {
    if (next === undefined) return undefined;
    const lsn = endInFrontOf(next, this.#blockSize);
    return { lsn, age: Math.max(this.#recent.ageOf(lsn), this.#clock.ageOf(lsn)) };
  }

  /** False: a read that has to see `write` is better off on the primary. */
  mayHave({ progress, canWait }: Replica, write: AwaitedWrite | undefined): boolean {
    return write === undefined || progress.mayHave(write, canWait ? this.options.waitForWrites : undefined);
  }

  /**
   * The less busy of two that are drawn of those that take work, are not in `tried` and may have `write`;
   * undefined: the work goes to the primary.
   *
   * @throws NoReplicaError where `fallback` says so.
   */
  choose(tried: ReadonlySet<Replica>, write?: AwaitedWrite): Replica | undefined {
    const usable = this.#replicas.filter((replica) => replica.isUsable && !tried.has(replica));
    const able = usable.filter((replica) => this.mayHave(replica, write));
    const first = draw(able);
    const second = draw(able);
    if (first !== undefined && second !== undefined) return second.load < first.load ? second : first;
    const behind = draw(usable);
    if (behind !== undefined) this.noteBehind(behind);
    else this.#fallBack();
    return undefined;
  }

  #fallBack(): void {
    const reasons = this.#replicas.map(({ host, problem }) => `${host}: ${problem ?? 'unreachable'}`);
    const reason = `no replica takes work (${reasons.join(', ')})`;
    if (this.options.fallback === 'fail') {
      throw new NoReplicaError(
        `${reason}, and replicas.fallback is 'fail'. Look at engine.replicas.status(), or let the primary take over.`,
      );
    }
    this.#listener?.replicaFallback(reason);
  }

  /** True: `error` says that no session could be opened, and another server may do better. */
  isUnreachable(error: unknown): boolean {
    if (error instanceof PoolTimeoutError) return error.cause instanceof DBAPIError;
    return error instanceof DBAPIError;
  }

  /** It did not have a caller's own write yet. */
  noteBehind({ host }: Replica): void {
    this.#listener?.replicaBehind(host);
  }

  /** No session could be opened on it. */
  lose(replica: Replica, cause: unknown): void {
    replica.lose(cause);
    this.#tell(replica, reasonOf(cause));
  }

  get pools(): readonly Pool[] {
    return this.#replicas.map(({ pool }) => pool);
  }

  async dispose(isFinal: boolean): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (isFinal) this.#state = 'closed';
    else if (this.#state === 'known') this.#examineLater();
    await Promise.all(this.#replicas.map((replica) => replica.dispose(isFinal)));
  }

  #examineLater(): void {
    if (this.#state === 'closed') return;
    clearTimeout(this.#timer);
    this.#timer = unref(setTimeout(() => void this.#examine(), this.options.checkInterval));
  }

  /** Asks all servers once; never rejects. */
  async #examine(): Promise<void> {
    const timeout = Math.max(PATIENCE, this.options.checkInterval);
    await Promise.all([
      this.#examinePrimary(timeout),
      ...this.#replicas.map((replica) => this.#examineReplica(replica, timeout)),
    ]);
    this.#examineLater();
  }

  /** Only its place in the log is wanted: what a caller can't have from it, the caller is told. */
  async #examinePrimary(timeout: number): Promise<void> {
    const pool = this.#primary();
    try {
      const { standby, lsn, blockSize } = await askOnce(pool, PRIMARY_QUESTION, { timeout });
      if (typeof blockSize === 'number') this.#blockSize = BigInt(blockSize);
      const number = lsnNumber(lsn);
      if (number !== undefined) this.#clock.note(number);
      // It was a primary, or never one: the next sessions look for what the URL asks for.
      if (standby === true) pool.invalidateAll();
    } catch {
      // The lag is then what it was.
    }
  }

  async #examineReplica(replica: Replica, timeout: number): Promise<void> {
    try {
      await replica.examine(this.#clock, this.options.maxLag, timeout);
      const { progress } = replica;
      progress.has(this.#recent.ageUpTo(progress.reached));
      this.#tell(replica, problemOf(replica, this.options.maxLag));
    } catch (error) {
      // Busy is not gone: it goes on as it is known.
      if (error instanceof PoolTimeoutError && !this.isUnreachable(error) && replica.isUsable) return;
      if (this.#state !== 'closed') this.lose(replica, error);
    }
    if (!replica.isUsable) return;
    this.#state = this.#state === 'closed' ? 'closed' : 'known';
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #tell(replica: Replica, problem: string | undefined): void {
    const isNew = !this.#told.has(replica);
    const before = this.#told.get(replica);
    this.#told.set(replica, problem);
    if ((before === undefined) === (problem === undefined) && !isNew) return;
    if (problem !== undefined) this.#listener?.replicaDown(replica.host, problem);
    else this.#listener?.replicaUp(replica.host);
  }
}

function draw(replicas: readonly Replica[]): Replica | undefined {
  return replicas[Math.floor(Math.random() * replicas.length)];
}

function problemOf({ problem, status }: Replica, maxLag: number): string | undefined {
  if (problem === 'primary') return 'it is no standby any more';
  if (problem === 'lag')
    return `it is ${Math.round(status.lag ?? 0)} ms behind the primary, maxLag is ${maxLag}`;
  return problem;
}
