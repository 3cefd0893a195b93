/**
 * `pending`: nothing was sent yet. `failed`: a statement failed and the server refuses all others.
 * `cancelled`: its outer transaction ended, or the connection was lost.
 */
export type TransactionState = 'pending' | 'active' | 'failed' | 'committed' | 'rolled-back' | 'cancelled';

/** True: it has not ended. */
export function isLive(state: TransactionState): boolean {
  return state === 'pending' || state === 'active' || state === 'failed';
}
