declare module 'pg-cursor' {
  import type { Connection, Submittable } from 'pg';

  /** What the benchmarks use of it. */
  export default class Cursor<Row> implements Submittable {
    constructor(text: string, values?: unknown[]);
    submit(connection: Connection): void;
    read(maxRows: number): Promise<Row[]>;
    close(): Promise<void>;
  }
}
