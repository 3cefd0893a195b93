import { InternalError } from '../../engine/index.js';

/** What the server says in a transaction that has failed, where it is the test's transaction that goes on. */
export function aborted(statement: string): InternalError {
  return new InternalError(
    'current transaction is aborted, commands ignored until end of transaction block',
    { sqlState: '25P02', statement, parameters: [] },
  );
}
