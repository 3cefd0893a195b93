import type { CommandResult, DriverRow, RowShape } from '../driver/driver.js';
import { resultIsClosed, returnsNoRows } from './refusals.js';
import type { RowQueue } from './row-reader.js';

/** The cursor over rows that are in memory; shared by a result and its views. */
export class RowBuffer implements RowQueue {
  readonly command: string;
  readonly rowCount: number;
  /** Rows per `fetchMany()` and `partitions()` without a number. */
  rowsPerFetch = 1;
  readonly #shape: RowShape | undefined;
  #rows: DriverRow[];
  #position = 0;
  #state: 'open' | 'closed' = 'open';

  constructor(result: CommandResult) {
    this.command = result.command;
    this.rowCount = result.rowCount;
    this.#shape = result.shape;
    this.#rows = result.rows;
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
    const shape = this.shape;
    if (this.#state === 'closed') throw resultIsClosed();
    return shape;
  }

  next(): DriverRow | undefined {
    return this.#position < this.#rows.length ? this.#rows[this.#position++] : undefined;
  }

  rest(): DriverRow[] {
    const rows = this.#position === 0 ? this.#rows : this.#rows.slice(this.#position);
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
