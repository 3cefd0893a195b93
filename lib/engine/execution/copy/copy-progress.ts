/** How far a COPY has come. */
export interface CopyProgress {
  readonly sql: string;
  /** `from`: into the database. */
  readonly direction: 'from' | 'to';
  /** Bytes that have passed. */
  readonly bytes: number;
  /**
   * Rows that have passed. Exact when `isDone`; before, the lines that were sent (of the binary format:
   * undefined), or the messages that came, which count a header line.
   */
  readonly rows: number | undefined;
  /** True once, when the COPY has succeeded. */
  readonly isDone: boolean;
}

/** Told of the progress; undefined while nothing observes the engine. */
export type CopyObserver = () => { copyProgress(progress: CopyProgress): void } | undefined;

/** Bytes between two reports. */
const STEP = 1_048_576;

/** Counts what passes, and reports it after each MiB and at the end. */
export class CopyMeter {
  readonly #sql: string;
  readonly #direction: 'from' | 'to';
  readonly #observer: CopyObserver;
  #bytes = 0;
  #rows: number | undefined = 0;
  #reported = 0;

  constructor(sql: string, direction: 'from' | 'to', observer: CopyObserver) {
    this.#sql = sql;
    this.#direction = direction;
    this.#observer = observer;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** `countRows` is asked while something listens. */
  add(bytes: number, countRows: () => number | undefined): void {
    this.#bytes += bytes;
    const observer = this.#observer();
    if (observer === undefined) return;
    const rows = countRows();
    this.#rows = rows === undefined || this.#rows === undefined ? undefined : this.#rows + rows;
    if (this.#bytes - this.#reported < STEP) return;
    this.#reported = this.#bytes;
    observer.copyProgress(this.#progress(this.#rows, false));
  }

  done(rowCount: number): void {
    this.#observer()?.copyProgress(this.#progress(rowCount, true));
  }

  #progress(rows: number | undefined, isDone: boolean): CopyProgress {
    return { sql: this.#sql, direction: this.#direction, bytes: this.#bytes, rows, isDone };
  }
}
