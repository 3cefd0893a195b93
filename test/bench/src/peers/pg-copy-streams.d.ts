declare module 'pg-copy-streams' {
  import type { Readable } from 'node:stream';
  import type { Connection, Submittable } from 'pg';

  /** What the benchmarks use of it. */
  export function to(text: string): Readable & Submittable & { submit(connection: Connection): void };
}
