import { BenchmarkError } from '../benchmark-error.js';

/** The row of a query that must give one. */
export function onlyRow<R>(rows: readonly R[]): R {
  const [row] = rows;
  if (row === undefined || rows.length > 1) {
    throw new BenchmarkError(`${rows.length} rows came where one was expected. Look at the peer's query.`);
  }
  return row;
}
