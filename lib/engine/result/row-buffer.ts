import type { CommandResult, DriverRow, RowShape } from '../driver/driver.js';
import { resultIsClosed, returnsNoRows } from './result-errors.js';
import type { RowQueue } from './row-reader.js';

/** The answer to a statement whose rows are observed as they are fetched. */
export interface ObservedAnswer extends CommandResult {
  readonly onFetch?: ((row: DriverRow) => void) | undefined;
}

/** The cursor over rows that are in memory; shared by a result and its views. */
export class RowBuffer implements RowQueue {
  readonly command: string;
  readonly rowCount: number;
  /** Rows per `fetchMany()` and `partitions()` without a number. */
  rowsPerFetch = 1;
  readonly #shape: RowShape | undefined;
  readonly #onFetch: ((row: DriverRow) => void) | undefined;
  #rows: DriverRow[];
  #position = 0;
  #state: 'open' | 'closed' = 'open';

  constructor(result: ObservedAnswer) {
    this.command = result.command;
    this.rowCount = result.rowCount;
    this.#shape = result.shape;
    this.#rows = result.rows;
    this.#onFetch = result.onFetch;
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  get returnsRows(): boolean {
    return this.#shape !== undefined;
  }

  /**
   * The shape of the rows, also after the end. Throws {@link ResourceClosedError} for a statement that
   * returns none.
   */
  get shape(): RowShape {
    if (this.#shape === undefined) throw returnsNoRows(this.command);
    return this.#shape;
  }

  /** The shape of the rows, when there may still be some. */
  expectOpen(): RowShape {
    if (this.#shape === undefined) throw returnsNoRows(this.command);
    if (this.#state === 'closed') throw resultIsClosed();
    return this.#shape;
  }

  get rowsLeft(): number {
    return this.#rows.length - this.#position;
  }

  next(): DriverRow | undefined {
    if (this.#position >= this.#rows.length) return undefined;
    const row = this.#rows[this.#position++];
    if (row !== undefined) this.#onFetch?.(row);
    return row;
  }

  /** The remaining rows, which stay. */
  peek(): DriverRow[] {
    return this.#rows.slice(this.#position);
  }

  rest(): DriverRow[] {
    const rows = this.#position === 0 ? this.#rows : this.peek();
    if (this.#onFetch !== undefined) rows.forEach(this.#onFetch);
    this.#rows = [];
    this.#position = 0;
    return rows;
  }

  close(): void {
    this.#state = 'closed';
    this.#rows = [];
    this.#position = 0;
  }
}
