import type { DriverRow } from '../driver/driver.js';
import type { Projection } from './projection.js';
import { structuralKey, structuralKeyOfAll } from './structural-key.js';

/** Reads the key by which the user tells rows apart from a driver's row. */
export type KeyReader = (row: DriverRow) => unknown;

/** Remembers which rows were handed out. Lives as long as the result: rows fetched earlier count as seen. */
export class Distinct {
  readonly #seen: Set<unknown>;
  readonly #readKey: KeyReader | undefined;

  /** Without `readKey`, rows are equal when their selected values are. */
  constructor(readKey?: KeyReader, seen: Iterable<unknown> = []) {
    this.#readKey = readKey;
    this.#seen = new Set(seen);
  }

  /** The same rows seen, for a look that does not count. */
  copy(): Distinct {
    return new Distinct(this.#readKey, this.#seen);
  }

  /**
   * For a result with other columns: a key of the user's stays what it is, equality of values starts anew.
   */
  forOtherColumns(): Distinct {
    return this.#readKey === undefined ? new Distinct() : this;
  }

  /** True for the first row of its key. */
  admits(row: DriverRow, projection: Projection<unknown>): boolean {
    const key = this.#readKey === undefined ? keyOfValues(projection.valuesOf(row)) : this.#readKey(row);
    const before = this.#seen.size;
    return this.#seen.add(key).size > before;
  }
}

function keyOfValues(values: readonly unknown[]): unknown {
  return values.length === 1 ? structuralKey(values[0]) : structuralKeyOfAll(values);
}
