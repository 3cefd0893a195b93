import { setImmediate as nextTurn } from 'node:timers/promises';
import { from, Subscription, type ObservableInput, type Subscriber } from 'rxjs';
import { type AsyncResult, QueryCanceledError, ResourceClosedError } from '../engine/index.js';
import { drainOf, type DrainTarget } from './drain-target.js';

interface PumpOptions<R, T> {
  readonly project?: ((row: R) => ObservableInput<T>) | undefined;
  readonly concurrency: number;
  readonly pace?: DrainTarget | undefined;
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Rows given to a paced consumer in one turn of the event loop: what was written shows in `writableNeedDrain`
 * only after it.
 */
const ROWS_PER_TURN = 16;

/**
 * Pulls rows for one subscription. One async loop, so that every projection runs in the async context of the
 * subscriber.
 */
export class QueryPump<R, T> {
  readonly #result: AsyncResult<R>;
  readonly #options: PumpOptions<R, T>;
  readonly #subscriber: Subscriber<T>;
  readonly #projections = new Subscription();
  /** Aborted when the pump is stopped, whatever it waits for. */
  readonly #stopping = new AbortController();
  #running = 0;
  #onProjectionEnd: (() => void) | undefined;
  #rowsInTurn = 0;

  constructor(result: AsyncResult<R>, options: PumpOptions<R, T>, subscriber: Subscriber<T>) {
    this.#result = result;
    this.#options = options;
    this.#subscriber = subscriber;
  }

  /** Ends with the last row, a failure or `stop()`. Never rejects. */
  async run(): Promise<void> {
    const { signal } = this.#options;
    const onAbort = (): void => this.#interrupt('its signal was aborted', signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true, signal: this.#stopping.signal });
    if (signal?.aborted === true) return onAbort();
    try {
      await this.#pump();
    } catch (error) {
      await this.#fail(error);
    }
  }

  /** Nothing is emitted any more; the cursor and the projections are closed at once. */
  stop(): void {
    this.#halt();
    // The subscriber has gone: where closing fails, the engine has dropped the connection.
    this.#result.close().catch(() => undefined);
  }

  async #pump(): Promise<void> {
    for (let rows = await this.#fetch(); rows.length > 0; rows = await this.#fetch()) {
      for (const row of rows) {
        if (this.#isBlocked(this.#options.concurrency)) await this.#untilFree(this.#options.concurrency);
        if (this.#options.pace !== undefined) await this.#untilPaced(this.#options.pace);
        if (this.#isStopped()) return;
        this.#deliver(row);
      }
      if (this.#isStopped()) return;
    }
    await this.#untilFree(1);
    if (!this.#isStopped()) this.#subscriber.complete();
  }

  async #fetch(): Promise<R[]> {
    const { timeout } = this.#options;
    if (timeout === undefined) return await this.#result.fetchMany();
    const timer = setTimeout(() => this.#interrupt(`a batch took longer than ${timeout} ms`), timeout);
    try {
      return await this.#result.fetchMany();
    } finally {
      clearTimeout(timer);
    }
  }

  #deliver(row: R): void {
    const { project } = this.#options;
    // Without a projection T is R: fromQuery() says so.
    if (project === undefined) return this.#subscriber.next(row as unknown as T);
    this.#running += 1;
    const projection = from(project(row)).subscribe({
      next: (value) => this.#subscriber.next(value),
      error: (error: unknown) => void this.#fail(error),
      complete: () => {
        this.#running -= 1;
        this.#onProjectionEnd?.();
      },
    });
    this.#projections.add(projection);
  }

  #isBlocked(concurrency: number): boolean {
    return this.#running >= concurrency && !this.#isStopped();
  }

  async #untilFree(concurrency: number): Promise<void> {
    while (this.#isBlocked(concurrency)) {
      await new Promise<void>((resolve) => {
        this.#onProjectionEnd = resolve;
      });
    }
  }

  async #untilPaced(pace: DrainTarget): Promise<void> {
    this.#rowsInTurn += 1;
    if (this.#rowsInTurn > ROWS_PER_TURN) {
      this.#rowsInTurn = 1;
      await nextTurn();
    }
    while (pace.writableNeedDrain && !this.#isStopped()) {
      if ((await drainOf(pace, this.#stopping.signal)) === 'gone') throw paceIsGone();
    }
    if (pace.destroyed === true) throw paceIsGone();
  }

  /** The cursor is closed when the subscriber hears of the failure. */
  async #fail(error: unknown): Promise<void> {
    if (this.#isStopped()) return;
    this.#halt();
    await this.#result.close().catch(() => undefined);
    this.#subscriber.error(error);
  }

  /** Does not wait for the cursor: it may be the one that takes too long. */
  #interrupt(why: string, cause?: unknown): void {
    if (this.#isStopped()) return;
    this.#halt();
    this.#subscriber.error(
      new QueryCanceledError(`the query was cancelled: ${why}.`, { cause, sqlState: '57014' }),
    );
  }

  #halt(): void {
    this.#stopping.abort();
    this.#projections.unsubscribe();
    this.#onProjectionEnd?.();
  }

  // A question of its own, so that the compiler does not take the answer before an await for the one after
  // it.
  #isStopped(): boolean {
    return this.#stopping.signal.aborted;
  }
}

function paceIsGone(): ResourceClosedError {
  return new ResourceClosedError('the response was closed before the last row was written to it.');
}
