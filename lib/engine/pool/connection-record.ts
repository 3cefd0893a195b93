import type { Control, DriverConnection, ServerRole } from '../driver/driver.js';
import { hostOf } from '../driver/host-of.js';
import { ConnectionLostError } from '../errors/server-errors.js';
import { startGrace } from '../util/clock.js';
import type { ResetOnReturn } from './pool-options.js';

/** How long a reset or a ping may take before the session is given up, in milliseconds. */
const ANSWER_DEADLINE = 5_000;
/** The part of its age by which a session expires earlier at most, so that not all expire at once. */
const AGE_JITTER = 0.25;

/** Is called when a connection is about to be closed. */
interface RecordObserver {
  readonly isObserved: boolean;
  closing(record: ConnectionRecord, way: 'closes' | 'drops'): void;
}

/** What to do about a session whose ping has failed. */
interface PingFailure {
  /** What the checkout fails with, where the session is not replaced. */
  readonly error: unknown;
  /** True: the session is lost, and it is replaced silently. */
  readonly isDisconnect: boolean;
  /** True: the other sessions of its age count as lost, too. */
  readonly invalidatesPool: boolean;
}

/** Asks listeners what the failure of a ping means; undefined where there are none. */
export type PingFailureClassifier = (error: unknown) => PingFailure | undefined;

/** One physical connection as the pool knows it, from its opening to its end. */
export class ConnectionRecord {
  readonly session: DriverConnection;
  /** The generation of the pool in which the connection was asked for. */
  readonly generation: number;
  wasLent = false;
  /** When its loan began, by `performance.now()`, and its round trips until then; while that is observed. */
  observedLoan: { readonly since: number; readonly roundTrips: number } | undefined;
  readonly #openedAt = performance.now();
  readonly #lifeFactor = 1 - AGE_JITTER * Math.random();
  readonly #observer: RecordObserver;
  #info: Map<unknown, unknown> | undefined;
  #host: string | undefined;
  #idleSince = 0;
  #lentAt = 0;
  /** What the session had counted when it was lent. */
  #endsWhenLent: number | undefined;
  /** At that time, or later. */
  #answeredAt = Number.NEGATIVE_INFINITY;
  #condition: 'good' | 'outdated' | 'ended' = 'good';

  constructor(session: DriverConnection, generation: number, observer: RecordObserver) {
    this.#observer = observer;
    this.session = session;
    this.generation = generation;
  }

  /** A map that lives as long as the session. */
  get info(): Map<unknown, unknown> {
    return (this.#info ??= new Map());
  }

  /** `host:port` of its server. */
  get host(): string | undefined {
    return (this.#host ??= hostOf(this.session.server));
  }

  /** Of its server; undefined unless the engine has replicas. */
  get role(): ServerRole | undefined {
    return this.session.server?.role;
  }

  /** Neither lost nor ended, nor to be replaced at its next checkout. */
  get isGood(): boolean {
    return this.#condition === 'good' && this.session.isOpen;
  }

  /** No transaction is open and nothing is running. */
  get isIdle(): boolean {
    return this.session.status === 'idle' && this.session.isQuiet;
  }

  /** When it last came back (ms, of the pool's own clock). */
  get idleSince(): number {
    return this.#idleSince;
  }

  /** True: it can go to the next borrower as it is. */
  isClean(mode: ResetOnReturn): boolean {
    const { session } = this;
    if (session.status !== 'idle' || !session.isQuiet) return false;
    return mode !== 'session' || session.changes?.isEmpty !== false;
  }

  /** It is replaced at its next checkout. */
  outdate(): void {
    if (this.#condition === 'good') this.#condition = 'outdated';
  }

  /** Says goodbye to the server. Never rejects. */
  async close(): Promise<void> {
    this.#emitClosing('closes');
    await this.session.close();
  }

  /** Drops the session at once. */
  terminate(): void {
    this.#emitClosing('drops');
    this.session.terminate();
  }

  #emitClosing(way: 'closes' | 'drops'): void {
    if (this.#condition === 'ended') return;
    this.#condition = 'ended';
    if (this.#observer.isObserved) this.#observer.closing(this, way);
  }

  /** It has come back at `now`. */
  markIdle(now: number): void {
    this.#idleSince = now;
  }

  /** It goes to a borrower. */
  markLent(): void {
    this.#lentAt = performance.now();
    this.#endsWhenLent = this.session.transactionEnds;
  }

  /** It has come back; for how long its last answer is known to be no older than. */
  markReturned(): void {
    if (this.session.transactionEnds !== this.#endsWhenLent) this.#answeredAt = this.#lentAt;
  }

  /** The server is known to have answered in the last `age` ms. */
  answeredWithin(age: number): boolean {
    return performance.now() - this.#answeredAt <= age;
  }

  /** True: it is older than `age` ms, or than up to a quarter less: each session has a share of its own. */
  isOlderThan(age: number): boolean {
    return performance.now() - this.#openedAt > age * this.#lifeFactor;
  }

  /** Asks for a sign of life before a checkout. Undefined: the session is good; otherwise it was dropped. */
  async ping(classify: PingFailureClassifier | undefined): Promise<PingFailure | undefined> {
    try {
      await settleInTime(() => this.session.execute([], { text: '', prepare: false }));
      if (!this.session.isOpen) throw unanswered();
      return undefined;
    } catch (error) {
      this.terminate();
      // Nothing but its loss keeps a session from answering an empty query.
      return classify?.(error) ?? { error, isDisconnect: true, invalidatesPool: true };
    }
  }

  /**
   * Ends an open transaction and undoes what the borrower was seen to change, in one flight. False: that is
   * not possible, failed, or took too long, and the session was ended.
   */
  async reset(mode: ResetOnReturn): Promise<boolean> {
    const commands = this.#resetCommands(mode);
    const last = commands?.pop();
    if (commands === undefined || last === undefined) {
      // A session that only a new one can replace has done nothing wrong: it may say goodbye.
      if (this.isIdle) await this.close();
      else this.terminate();
      return false;
    }
    const isAnswered = await succeeds(() => this.session.execute(commands, { prepare: false, ...last }));
    if (isAnswered && this.session.isOpen && this.isIdle) {
      if (mode === 'session') this.session.changes?.clear();
      return true;
    }
    this.terminate();
    return false;
  }

  /** What `reset()` does, for the log. */
  resetName(mode: ResetOnReturn): string {
    if (mode === 'session') return this.isIdle ? 'session reset' : 'rollback';
    return String(mode);
  }

  /** For one that left its pool: ends what is open as `mode` says, then the session. Never rejects. */
  async resetAndClose(mode: ResetOnReturn): Promise<void> {
    // What was changed in the session ends with it: only a transaction is worth a word to the server.
    if (mode !== null && this.session.isOpen && !this.isIdle)
      await this.reset(mode === 'session' ? 'rollback' : mode);
    await this.close();
  }

  #resetCommands(mode: ResetOnReturn): Control[] | undefined {
    if (mode === null) return undefined;
    const changes = mode === 'session' ? this.session.changes : undefined;
    const undo = changes === undefined || changes.isEmpty ? [] : changes.undo();
    if (undo === undefined) return undefined;
    const text = mode === 'commit' && this.session.status !== 'failed' ? 'COMMIT' : 'ROLLBACK';
    return this.isIdle ? [...undo] : [{ text, prepare: false }, ...undo];
  }
}

function settleInTime(work: () => Promise<unknown>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const endGrace = startGrace(() => reject(unanswered()), ANSWER_DEADLINE);
    attempt(work).then(resolve, reject).finally(endGrace);
  });
}

// An error that is thrown synchronously must not leave the timer behind.
async function attempt(work: () => Promise<unknown>): Promise<void> {
  await work();
}

async function succeeds(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await settleInTime(work);
    return true;
  } catch {
    return false;
  }
}

function unanswered(): ConnectionLostError {
  return new ConnectionLostError(
    'the server did not answer on an idle connection. It is replaced; look for a network that drops idle sessions.',
    { connectionInvalidated: true },
  );
}
