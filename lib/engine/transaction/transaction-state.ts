/**
 * `pending`: nothing was sent yet. `failed`: a statement failed and the server refuses all others.
 * `cancelled`: its outer transaction ended, the connection was lost, or something else ended it on the
 * server.
 */
export type TransactionState = 'pending' | 'active' | 'failed' | EndState;

export type EndState = 'committed' | 'rolled-back' | 'cancelled';

/** The states of a transaction that has not ended. */
export const LIVE: ReadonlySet<TransactionState> = new Set(['pending', 'active', 'failed']);

/** Why an end can only be a rollback. `isExpected`: it was asked for, so that nothing is thrown for it. */
export interface RollbackReason {
  readonly cause: unknown;
  readonly isExpected: boolean;
}
