/** A row by its primary key. */
export interface Account {
  readonly id: number;
  readonly name: string;
  readonly balance: number;
}

/** Ten columns of the common types. Clients differ in how they show `total`, `price` and `created`. */
export interface WideRow {
  readonly id: number;
  readonly rank: number;
  readonly total: unknown;
  readonly title: string;
  readonly code: string;
  readonly price: unknown;
  readonly active: boolean;
  readonly created: unknown;
  readonly score: number;
  readonly details: unknown;
}

/** What an executemany inserts. A type and no interface: sets of parameters have an index. */
export type Measurement = {
  readonly id: number;
  readonly sensor: number;
  readonly label: string;
  readonly value: number;
};

/** What is streamed. */
export interface Happening {
  readonly id: number;
  readonly kind: string;
  readonly amount: number;
  readonly note: string;
}

export const ACCOUNTS = 10_000;
export const WIDE_ROWS = 1_000;

/** The base of `created`: one row a minute from here. */
const EPOCH = Date.UTC(2026, 0, 1, 0, 0, 0, 123);

/** The tables that workloads share. `happenings` is big and made by `makeHappenings()` where it is needed. */
export const SCHEMA = `
  CREATE TABLE accounts (id int PRIMARY KEY, name text NOT NULL, balance int NOT NULL, visits int NOT NULL DEFAULT 0)
    WITH (fillfactor = 50);
  INSERT INTO accounts (id, name, balance) SELECT n, 'account ' || n, n * 37 % 1000 FROM generate_series(1, ${ACCOUNTS}) n;
  CREATE TABLE wide (
    id int PRIMARY KEY, rank int NOT NULL, total bigint NOT NULL, title text NOT NULL, code varchar(20) NOT NULL,
    price numeric(12, 2) NOT NULL, active boolean NOT NULL, created timestamptz NOT NULL, score double precision NOT NULL,
    details jsonb NOT NULL
  );
  INSERT INTO wide
    SELECT n, n % 7, n * 5000000000, 'The title of row ' || n, 'code-' || n, n + 0.25, n % 2 = 0,
           timestamptz '2026-01-01 00:00:00.123+00' + n * interval '1 minute', n * 0.5,
           jsonb_build_object('tags', jsonb_build_array('a', n), 'note', 'row ' || n)
    FROM generate_series(1, ${WIDE_ROWS}) n;
  CREATE TYPE mood AS ENUM ('calm', 'glad');
  CREATE UNLOGGED TABLE measurements (id int NOT NULL, sensor int NOT NULL, label text NOT NULL, value double precision NOT NULL);
  CREATE UNLOGGED TABLE happenings (id int NOT NULL, kind text NOT NULL, amount int NOT NULL, note text NOT NULL);
`;

/** The statements that make `happenings` hold exactly `count` rows. */
export function makeHappenings(count: number): string {
  return `
    TRUNCATE happenings;
    INSERT INTO happenings
      SELECT n, 'kind ' || n % 10, n % 1000, 'what happened the time number ' || n FROM generate_series(1, ${count}) n;
    ANALYZE;
  `;
}

/** The account that the operation number `index` is about: neighbours in time are never neighbours in the table. */
export function accountIdOf(index: number): number {
  return 1 + ((index * 7_919) % ACCOUNTS);
}

export function accountOf(id: number): Account {
  return { id, name: `account ${id}`, balance: (id * 37) % 1_000 };
}

/** The row as every client must show it once `canonicalWideRow()` has seen it. */
export function wideRowOf(id: number): WideRow {
  return {
    id,
    rank: id % 7,
    total: String(id * 5_000_000_000),
    title: `The title of row ${id}`,
    code: `code-${id}`,
    price: `${id}.25`,
    active: id % 2 === 0,
    created: new Date(EPOCH + id * 60_000).toISOString(),
    score: id * 0.5,
    details: { tags: ['a', id], note: `row ${id}` },
  };
}

/**
 * Evens out what clients are free to choose: int8 and numeric as string, number or bigint, a time as string or Date,
 * jsonb as it came.
 */
export function canonicalWideRow(row: WideRow): WideRow {
  const { id, rank, title, code, active, score, details } = row;
  const created = new Date(row.created as string | Date).toISOString();
  return {
    id,
    rank,
    total: String(row.total),
    title,
    code,
    price: String(row.price),
    active,
    created,
    score,
    details: typeof details === 'string' ? (JSON.parse(details) as unknown) : details,
  };
}

export function measurementsOf(count: number): Measurement[] {
  return Array.from({ length: count }, (_, index) => ({
    id: index + 1,
    sensor: index % 50,
    label: `label ${index % 100}`,
    value: index * 0.25,
  }));
}
