import type { DriverRow, Portal, RowShape } from '../../../lib/engine/driver/driver.js';
import { ArgumentError } from '../../../lib/engine/errors/errors.js';
import type { StreamSource } from '../../../lib/engine/result/stream-source.js';

/** Rows in memory, with what became of the cursor. */
export class MemoryRows implements StreamSource {
  readonly #rows: readonly DriverRow[];
  readonly #shape: RowShape;
  failAt: number | undefined;
  fetches = 0;
  releases = 0;

  constructor(names: readonly string[], rows: readonly DriverRow[]) {
    this.#rows = rows;
    const keyed = new Set(names).size === names.length;
    this.#shape = { fields: names.map((name) => ({ name, typeOid: 25 })), keyed };
  }

  open(): Promise<Portal> {
    let position = 0;
    return Promise.resolve({
      shape: this.#shape,
      fetch: (count) => {
        this.fetches += 1;
        if (this.fetches === this.failAt) return Promise.reject(new ArgumentError('the cursor broke'));
        const rows = this.#rows.slice(position, position + count);
        position += count;
        return Promise.resolve({ rows, done: position >= this.#rows.length });
      },
      close: () => Promise.resolve(),
    });
  }

  release(): Promise<void> {
    this.releases += 1;
    return Promise.resolve();
  }
}

/** Rows with an `id` that counts from 0. */
export function manyRows(count: number): MemoryRows {
  return new MemoryRows(
    ['id'],
    Array.from({ length: count }, (_, id) => ({ id })),
  );
}
