import { Mutex } from '../util/mutex.js';
import { onAbort } from '../util/on-abort.js';
import type { Batch, CsvField, CsvLines, DriverRow, Portal, RowShape } from '../driver/driver.js';
import {
  expectCount,
  expectRowsPerFetch,
  resultIsClosed,
  returnsNoRows,
  rowsAreText,
  streamAborted,
} from './result-errors.js';
import type { RowQueue } from './row-reader.js';
import {
  BYTES_PER_FETCH,
  LINES_FOR_A_ROW,
  ROWS_PER_FETCH,
  type StreamHooks,
  type StreamOptions,
  type StreamSource,
} from './stream-source.js';

/**
 * `unopened`: nothing was sent; `open`: the server may have more; `drained`: it has not, but rows may be at
 * hand; `closed`: given up, or failed.
 */
export type StreamState = 'unopened' | 'open' | 'drained' | 'closed';

/** What a fetch brought; undefined when the stream was closed before it came. */
type Arrival = Batch | { readonly failure: unknown } | undefined;

interface Fetch {
  readonly arrival: Promise<Arrival>;
  readonly settle: (arrival: Arrival) => void;
  /** The server has answered. */
  isOver: boolean;
}

/**
 * The cursor over rows on the server; shared by a streamed result and its views. Holds the batch being read
 * and fetches the next one meanwhile, never more: behind a batch of wide rows that was too large, when only
 * so many are left as the next one has.
 */
export class RowStream implements RowQueue {
  /** Of those who want several rows at once, each gets rows that follow one another. */
  readonly turns = new Mutex();
  readonly #source: StreamSource;
  readonly #hooks: StreamHooks;
  readonly #signal: AbortSignal | undefined;
  #rowsPerFetch: number;
  /** How many rows like those of the last batch fit into one; undefined where the caller says a number. */
  #fitting: number | undefined;
  #state: StreamState = 'unopened';
  #portal: Promise<Portal> | undefined;
  /** `none`: the statement returns no rows. Undefined: no batch has come. */
  #shape: RowShape | 'none' | undefined;
  /** Undefined are those that were handed out: a large batch is not kept to its last row. */
  #rows: (DriverRow | undefined)[] = [];
  #position = 0;
  /** With so many rows left the next batch is fetched; undefined: it is on its way, or not wanted yet. */
  #aheadAt: number | undefined;
  /** Set while the rows are wanted as CSV. */
  #csv: CsvField | undefined;
  /** A batch at hand that came as such. */
  #lines: CsvLines | undefined;
  #fetch: Fetch | undefined;
  #ending: Promise<void> | undefined;
  /** Why the stream is closed, if something failed. */
  #failure: unknown;
  /** The abort of the signal, until a question has been told of it. */
  #abort: unknown;
  #ignoreSignal: (() => void) | undefined;
  /** The first failure of closing and releasing that was not reported yet. */
  #unreported: unknown;

  constructor(
    source: StreamSource,
    { yieldPer, maxRowBuffer, signal }: StreamOptions = {},
    hooks: StreamHooks = {},
  ) {
    if (maxRowBuffer !== undefined) expectCount('maxRowBuffer', maxRowBuffer);
    this.#source = source;
    this.#hooks = hooks;
    this.#signal = signal;
    this.#rowsPerFetch =
      yieldPer === undefined
        ? Math.min(maxRowBuffer ?? ROWS_PER_FETCH, ROWS_PER_FETCH)
        : expectRowsPerFetch('yieldPer', yieldPer);
    this.#fitting = (yieldPer ?? maxRowBuffer) === undefined ? ROWS_PER_FETCH : undefined;
  }

  get state(): StreamState {
    return this.#state;
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  /** True when the first batch has come: it is known whether there are rows, and their shape. */
  get isOpened(): boolean {
    return this.#shape !== undefined;
  }

  get rowsPerFetch(): number {
    return this.#rowsPerFetch;
  }

  set rowsPerFetch(count: number) {
    this.#rowsPerFetch = expectRowsPerFetch('yieldPer()', count);
    this.#fitting = undefined;
  }

  /** True: rows are at hand, without asking the server. */
  get hasRows(): boolean {
    return this.#position < this.#rows.length;
  }

  /**
   * The shape of the rows; known when `fill()` has resolved. Throws {@link ResourceClosedError} for a
   * statement that returns none.
   */
  get shape(): RowShape {
    if (!this.returnsRows) throw returnsNoRows();
    return this.#shape as RowShape;
  }

  /** Known when the first batch has come; false for a statement such as an INSERT without RETURNING. */
  get returnsRows(): boolean {
    return this.#shape !== undefined && this.#shape !== 'none';
  }

  next(): DriverRow | undefined {
    if (!this.hasRows) return undefined;
    const row = this.#rows[this.#position];
    this.#rows[this.#position++] = undefined;
    if (this.#rows.length - this.#position === this.#aheadAt) this.#startFetch();
    if (row !== undefined) this.#hooks.onFetch?.(row);
    return row;
  }

  rest(): DriverRow[] {
    const left = this.#position === 0 ? this.#rows : this.#rows.slice(this.#position);
    const rows = left as DriverRow[];
    if (this.#aheadAt !== undefined) this.#startFetch();
    if (this.#hooks.onFetch !== undefined) rows.forEach(this.#hooks.onFetch);
    this.#discard();
    return rows;
  }

  /**
   * Makes sure that there is a row at hand; false at the end of the rows, when everything is released. With
   * `limit` a first fetch brings no more than that and nothing is fetched ahead, for the questions that want
   * one row.
   */
  async fill(limit?: number): Promise<boolean> {
    this.#csv = undefined;
    const isFilled = await this.#pull(limit);
    if (this.#lines !== undefined) throw rowsAreText();
    if (!isFilled && !this.returnsRows) throw returnsNoRows();
    return isFilled;
  }

  /**
   * The next batch as lines of CSV; undefined where it comes as rows, which are at hand then, and at the end
   * of the rows.
   */
  async takeLines(csv: CsvField): Promise<Buffer | undefined> {
    await this.open(csv);
    if (!this.returnsRows) throw returnsNoRows();
    const lines = this.#lines?.text;
    this.#lines = undefined;
    return lines;
  }

  /** Sends the statement and waits for the first rows, so that its failure is known and the shape is. */
  async open(csv?: CsvField): Promise<void> {
    // Each row is to be handed out.
    if (this.#hooks.onFetch === undefined) this.#csv = csv;
    await this.#pull();
  }

  /**
   * Gives up the remaining rows at once, also while a fetch is pending, and resolves when everything is
   * released. Rejects if that failed, but not when something else failed before: a fetch, or what the caller
   * gives as `failure`.
   */
  async close(failure?: unknown): Promise<void> {
    if (this.#state !== 'closed') {
      this.#state = 'closed';
      this.#failure = failure;
      this.#discard();
      this.#fetch?.settle(undefined);
      this.#end(failure);
    }
    if (failure === undefined) await this.#ended();
    else await this.#ending;
  }

  async #pull(limit?: number): Promise<boolean> {
    while (!this.hasRows && this.#lines === undefined) {
      if (this.#state === 'closed') throw this.#takeAbort() ?? resultIsClosed(this.#failure);
      if (this.#state === 'drained') {
        await this.#ended();
        return false;
      }
      await this.#advance(limit);
    }
    return true;
  }

  async #advance(limit?: number): Promise<void> {
    const fetch = this.#fetch ?? this.#startFetch(limit);
    const arrival = await fetch.arrival;
    // Of several callers waiting for one fetch, the first takes it in.
    if (arrival === undefined || this.#fetch !== fetch) return;
    this.#fetch = undefined;
    if ('failure' in arrival) {
      this.#state = 'closed';
      this.#failure = arrival.failure;
      await this.#ending;
      throw arrival.failure;
    }
    this.#rows = arrival.rows;
    this.#lines = arrival.csv;
    this.#position = 0;
    if (arrival.done) this.#state = 'drained';
    else if (limit === undefined) this.#readAhead(arrival.rows.length);
  }

  #readAhead(count: number): void {
    if (this.#fitting !== undefined && count > this.#fitting) this.#aheadAt = this.#fitting;
    else this.#startFetch();
  }

  #startFetch(limit?: number): Fetch {
    const fetch = pendingFetch();
    this.#fetch = fetch;
    this.#aheadAt = undefined;
    const most = this.#fitting ?? this.#rowsPerFetch;
    const count = this.#state === 'unopened' ? Math.min(limit ?? Infinity, most) : most;
    if (this.#state === 'unopened' && this.#signal !== undefined)
      this.#ignoreSignal = onAbort(this.#signal, () => this.#handleAbort());
    this.#state = 'open';
    void this.#load(count).then((arrival) => {
      fetch.isOver = true;
      // The cancellation came too late for it.
      if (arrival !== undefined && 'rows' in arrival && this.#signal?.aborted === true) this.#handleAbort();
      fetch.settle(arrival);
    });
    return fetch;
  }

  /** A fetch that runs is cancelled by the driver. What has come is not given any more. */
  #handleAbort(): void {
    this.#discard();
    if (this.#state !== 'open' || this.#fetch?.isOver === false) return;
    const error = streamAborted(this.#signal?.reason);
    this.#abort = this.#hooks.mapError?.(error) ?? error;
    void this.close(this.#abort);
  }

  #takeAbort(): unknown {
    const abort = this.#abort;
    this.#abort = undefined;
    return abort;
  }

  // Never rejects: a failure of the batch fetched ahead has to wait for its turn.
  async #load(count: number): Promise<Arrival> {
    try {
      const portal = await (this.#portal ??= this.#source.open());
      if (this.#state === 'closed') return undefined;
      const batch = await portal.fetch(count, this.#csv);
      this.#shape ??= portal.shape ?? 'none';
      this.#measure(batch);
      // The connection is wanted back as soon as the server is through, not when the last row has been looked
      // at.
      if (batch.done) this.#end();
      return batch;
    } catch (error) {
      const failure = this.#hooks.mapError?.(error) ?? error;
      this.#end(failure);
      return { failure };
    }
  }

  #measure({ rows, csv, bytes = 0 }: Batch): void {
    if (this.#fitting === undefined || bytes === 0) return;
    const times = csv === undefined ? 1 : LINES_FOR_A_ROW;
    const fitting = Math.floor((times * BYTES_PER_FETCH * (csv?.count ?? rows.length)) / bytes);
    this.#fitting = Math.min(Math.max(fitting, 1), times * ROWS_PER_FETCH);
  }

  #end(failure?: unknown): void {
    this.#ignoreSignal?.();
    this.#ending ??= this.#release(failure);
  }

  async #release(failure: unknown): Promise<void> {
    let portal: Portal | undefined;
    try {
      portal = await this.#portal;
    } catch {
      // The source opened nothing; who waits for the first rows is told why.
    }
    if (portal === undefined) return;
    let first = failure;
    try {
      await portal.close();
    } catch (error) {
      first ??= error;
    }
    try {
      await this.#source.release(first);
    } catch (error) {
      first ??= error;
    }
    if (failure === undefined) this.#unreported = first;
  }

  async #ended(): Promise<void> {
    await this.#ending;
    const failure = this.#unreported;
    this.#unreported = undefined;
    if (failure !== undefined) throw failure;
  }

  #discard(): void {
    this.#lines = undefined;
    this.#rows = [];
    this.#position = 0;
    this.#aheadAt = undefined;
  }
}

function pendingFetch(): Fetch {
  let settle!: (arrival: Arrival) => void;
  const arrival = new Promise<Arrival>((resolve) => (settle = resolve));
  return { arrival, settle, isOver: false };
}
