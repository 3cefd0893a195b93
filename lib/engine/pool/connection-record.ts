import type { DriverConnection } from '../driver/driver.js';
import { ConnectionLostError } from '../errors/errors.js';
import type { ResetOnReturn } from './pool-options.js';

/** How long a reset or a ping may take before the session is given up, in milliseconds. */
const ANSWER_DEADLINE = 5_000;

/** Is told when a connection is about to be closed. */
export interface RecordWatch {
  readonly isObserved: boolean;
  closing(record: ConnectionRecord, way: 'closes' | 'drops'): void;
}

/** One physical connection as the pool knows it, from its opening to its end. */
export class ConnectionRecord {
  readonly session: DriverConnection;
  /** The generation of the pool in which the connection was asked for. */
  readonly generation: number;
  readonly #openedAt = performance.now();
  readonly #watch: RecordWatch;
  #info: Map<unknown, unknown> | undefined;
  #idleSince = 0;
  #condition: 'good' | 'outdated' | 'ended' = 'good';

  constructor(session: DriverConnection, generation: number, watch: RecordWatch) {
    this.#watch = watch;
    this.session = session;
    this.generation = generation;
  }

  get info(): Map<unknown, unknown> {
    return (this.#info ??= new Map());
  }

  /** To be replaced at its next checkout. */
  get isOutdated(): boolean {
    return this.#condition === 'outdated';
  }

  /** No transaction is open and nothing is under way: it can go to the next borrower as it is. */
  get isClean(): boolean {
    return this.session.status === 'idle' && this.session.isQuiet;
  }

  get idleSince(): number {
    return this.#idleSince;
  }

  outdate(): void {
    if (this.#condition === 'good') this.#condition = 'outdated';
  }

  /** Says goodbye to the server. Never rejects. */
  async close(): Promise<void> {
    this.#tellEnd('closes');
    await this.session.close();
  }

  /** Drops the session at once. */
  terminate(): void {
    this.#tellEnd('drops');
    this.session.terminate();
  }

  #tellEnd(way: 'closes' | 'drops'): void {
    if (this.#condition === 'ended') return;
    this.#condition = 'ended';
    if (this.#watch.isObserved) this.#watch.closing(this, way);
  }

  markIdle(now: number): void {
    this.#idleSince = now;
  }

  isOlderThan(age: number): boolean {
    return performance.now() - this.#openedAt > age;
  }

  /** Throws what the server, or its silence, has to say. */
  async ping(): Promise<void> {
    await settleInTime(() => this.session.execute([], { text: '', prepare: false }));
    if (!this.session.isOpen) throw unanswered();
  }

  /** Ends an open transaction. False: that failed, or took too long, and the session was terminated. */
  async reset(mode: ResetOnReturn): Promise<boolean> {
    if (mode !== null) {
      const text = mode === 'commit' && this.session.status !== 'failed' ? 'COMMIT' : 'ROLLBACK';
      const answered = await succeeds(() => this.session.execute([], { text, prepare: false }));
      if (answered && this.session.isOpen && this.isClean) return true;
    }
    this.terminate();
    return false;
  }
}

function settleInTime(work: () => Promise<unknown>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(unanswered()), ANSWER_DEADLINE);
    attempt(work)
      .then(resolve, reject)
      .finally(() => clearTimeout(timer));
  });
}

// What throws at once must not leave its timer behind.
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
