import type { Measurement } from '../fixtures.js';

/** The SQL that peers without a builder of their own send, named as prepared statements want it. */
export const SELECT_ACCOUNT = {
  name: 'select_account',
  text: 'SELECT id, name, balance FROM accounts WHERE id = $1',
} as const;

export const COUNT_VISIT = {
  name: 'count_visit',
  text: 'UPDATE accounts SET visits = visits + 1 WHERE id = $1',
} as const;

export const SELECT_WIDE = {
  name: 'select_wide',
  text: 'SELECT id, rank, total, title, code, price, active, created, score, details FROM wide ORDER BY id',
} as const;

export const INSERT_MEASUREMENTS = {
  name: 'insert_measurements',
  text: `INSERT INTO measurements (id, sensor, label, value)
    SELECT * FROM unnest($1::int[], $2::int[], $3::text[], $4::double precision[])`,
} as const;

/** The values of INSERT_MEASUREMENTS. */
export function columnsOf(rows: readonly Measurement[]): unknown[][] {
  return [
    rows.map(({ id }) => id),
    rows.map(({ sensor }) => sensor),
    rows.map(({ label }) => label),
    rows.map(({ value }) => value),
  ];
}

export const SELECT_HAPPENINGS = 'SELECT id, kind, amount, note FROM happenings';
