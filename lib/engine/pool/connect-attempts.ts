import { DBAPIError } from '../errors/errors.js';
import type { WaitingLine } from './waiting-line.js';

/** An attempt that takes longer than this, in ms, counts only for callers that came before it was started. */
const YOUNG = 100;
/** How long a pool waits before it asks a full server for one more connection, in ms. */
const FULL_PAUSE = 1_000;
/** Too many connections (of the server, the role, the database), and a server that is starting or ending. */
const FULL_STATES: ReadonlySet<string> = new Set(['53300', '53400', '57P03']);
/** What a pooler says without a SQLSTATE of its own. */
const FULL_WORDS = /no more connections allowed|too many (?:clients|connections)/i;

/** True: the server takes no more connections now; those that it has taken go on. */
export function isServerFull(error: unknown): boolean {
  if (!(error instanceof DBAPIError)) return false;
  return FULL_STATES.has(error.sqlState ?? '') || FULL_WORDS.test(error.message);
}

/**
 * The connections that a pool is opening, and how many more it may try: after a failure one attempt probes
 * for all callers, then 2, 4 and so on; a full server is left alone for a second.
 */
export class ConnectAttempts {
  /** When each was started. */
  readonly #open = new Set<{ readonly startedAt: number }>();
  #allowed = Number.POSITIVE_INFINITY;
  #pausedUntil = 0;
  #lastFailure: unknown;

  /** All that are under way. */
  get size(): number {
    return this.#open.size;
  }

  /** Why no connection could be opened last; undefined after a success. */
  get lastFailure(): unknown {
    return this.#lastFailure;
  }

  /**
   * Those that the callers in `line` may count on. One that hangs, and whose own caller has gone, is not
   * among them: later callers open their own.
   */
  promisingFor(line: WaitingLine): number {
    if (this.#open.size === 0) return 0;
    const limit = performance.now() - YOUNG;
    let old = 0;
    let latest = 0;
    for (const { startedAt } of this.#open) {
      if (startedAt > limit) continue;
      old += 1;
      latest = Math.max(latest, startedAt);
    }
    return this.#open.size - old + line.countJoinedUntil(latest, old);
  }

  /** Milliseconds until another attempt may begin; undefined: not before one of those under way has ended. */
  delayFor(line: WaitingLine): number | undefined {
    if (this.promisingFor(line) >= this.#allowed) return undefined;
    return Math.max(0, this.#pausedUntil - performance.now());
  }

  /** Milliseconds until one of them takes so long that it may promise nothing; undefined: none will. */
  get nextChange(): number | undefined {
    const now = performance.now();
    let next: number | undefined;
    for (const { startedAt } of this.#open) {
      const left = startedAt + YOUNG - now;
      if (left > 0) next = Math.min(next ?? left, left);
    }
    return next;
  }

  /**
   * Runs `open`, and gives what it has opened to `take` in the moment in which it promises nothing more.
   * Rejects with the error of `open`.
   */
  async run<T>(open: () => Promise<T>, take: (opened: T) => void): Promise<void> {
    const attempt = { startedAt: performance.now() };
    this.#open.add(attempt);
    let opened: T;
    try {
      opened = await open();
    } catch (error) {
      this.#allowed = 1;
      this.#lastFailure = error;
      throw error;
    } finally {
      this.#open.delete(attempt);
    }
    this.#allowed += 1;
    this.#pausedUntil = 0;
    this.#lastFailure = undefined;
    take(opened);
  }

  /** Leaves a full server alone for a while. False: it is being left alone already. */
  pause(): boolean {
    const now = performance.now();
    const isNew = this.#pausedUntil <= now;
    this.#pausedUntil = now + FULL_PAUSE;
    return isNew;
  }
}
