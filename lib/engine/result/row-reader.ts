import type { DriverRow, RowShape } from '../driver/driver.js';
import { ArgumentError } from '../errors/errors.js';
import { Distinct } from './distinct.js';
import { Projection, type ColumnReference, type RowForm, type Selections } from './projection.js';

/** What the readers need of a cursor, buffered or streamed: the rows at hand. */
export interface RowQueue {
  /** The next row at hand, or undefined. */
  next(): DriverRow | undefined;
  /** All rows at hand, which are taken with it. */
  rest(): DriverRow[];
}

/**
 * The filters of a result, which the buffered and the streamed family share: the form of a row, the columns,
 * and uniqueness. Immutable but for the rows seen by `unique()`; compiled anew for each shape of rows.
 */
export class RowReader<T> {
  readonly #form: RowForm;
  readonly #selections: Selections;
  readonly #distinct: Distinct | undefined;
  #projection: Projection<T> | undefined;

  constructor(form: RowForm, selections: Selections = [], distinct?: Distinct) {
    this.#form = form;
    this.#selections = selections;
    this.#distinct = distinct;
  }

  /** True: it gives all rows, with all their columns. */
  get isPlain(): boolean {
    return this.#selections.length === 0 && this.#distinct === undefined;
  }

  /** The same columns in another form, sharing the rows seen. */
  as<Other>(form: RowForm): RowReader<Other> {
    return new RowReader(form, this.#selections, this.#distinct);
  }

  /** Fewer columns, or the same in another order. */
  select<Other>(columns: readonly ColumnReference[], form: RowForm = this.#form): RowReader<Other> {
    if (columns.length === 0) {
      throw new ArgumentError('columns() takes at least one column: its name or its position.');
    }
    return new RowReader(form, [...this.#selections, columns], this.#distinct?.forOtherColumns());
  }

  /** Only the first row of each key. `shapeOf` is asked when the first row is there. */
  unique(key: ((value: T) => unknown) | undefined, shapeOf: () => RowShape): RowReader<T> {
    if (key === undefined) return new RowReader(this.#form, this.#selections, new Distinct());
    const readKey = (row: DriverRow): unknown => key(this.project(shapeOf()).read(row));
    return new RowReader(this.#form, this.#selections, new Distinct(readKey));
  }

  /** The compiled form. Throws {@link ArgumentError} for a column that the rows do not have. */
  project(shape: RowShape): Projection<T> {
    if (this.#projection?.shape !== shape)
      this.#projection = new Projection<T>(shape, this.#selections, this.#form);
    return this.#projection;
  }

  /** `row` in the form of this reader; a row that has it already is handed on as it is. */
  read(row: DriverRow, shape: RowShape): T {
    const isAsWanted = this.#selections.length === 0 && this.#form === (shape.keyed ? 'object' : 'tuple');
    return isAsWanted ? (row as T) : this.project(shape).read(row);
  }

  /** The next row at hand that is not a repetition, as the driver gave it. */
  take(queue: RowQueue, shape: RowShape): DriverRow | undefined {
    const distinct = this.#distinct;
    if (distinct === undefined) return queue.next();
    const projection = this.project(shape);
    for (let row = queue.next(); row !== undefined; row = queue.next()) {
      if (distinct.admits(row, projection)) return row;
    }
    return undefined;
  }

  /** All rows at hand that are no repetitions, as the driver gave them. */
  takeRest(queue: RowQueue, shape: RowShape): DriverRow[] {
    const distinct = this.#distinct;
    if (distinct === undefined) return queue.rest();
    const projection = this.project(shape);
    return queue.rest().filter((row) => distinct.admits(row, projection));
  }

  /** The remaining rows of a buffer, projected; they stay there, and do not count as seen. */
  peek(buffer: { peek(): DriverRow[] }, shape: RowShape): T[] {
    const projection = this.project(shape);
    const distinct = this.#distinct?.copy();
    const rows = buffer.peek();
    const left = distinct === undefined ? rows : rows.filter((row) => distinct.admits(row, projection));
    return left.map(projection.read);
  }

  /** All rows at hand, projected. */
  readRest(queue: RowQueue, shape: RowShape): T[] {
    const projection = this.project(shape);
    const rows = this.takeRest(queue, shape);
    // The array is the cursor's no longer, so that it may be the user's.
    return projection.isIdentity ? (rows as T[]) : rows.map(projection.read);
  }
}
