import { Pool } from '../../engine/index.js';
import type { CheckoutOptions, ConnectionRecord, PooledConnection } from '../../engine/index.js';
import { recordedSession } from '../record/recording-session.js';
import type { OuterTransaction } from './outer-transaction.js';
import { RollbackSession } from './rollback-session.js';

/** Lends sessions that all are the one of the test's transaction. */
export class RollbackPool extends Pool {
  readonly name: string = 'RollbackPool';
  readonly #outer: OuterTransaction;
  readonly #former: Pool;
  #state: 'current' | 'superseded' = 'current';

  constructor(outer: OuterTransaction, former: Pool) {
    super(
      {
        facts: { name: 'rollback', maxConnections: Number.POSITIVE_INFINITY },
        connect: async () => outer.openSession(),
      },
      former.options,
    );
    this.#outer = outer;
    this.#former = former;
  }

  protected async waitFor(checkout: CheckoutOptions): Promise<PooledConnection> {
    const trace = this.checkoutTrace();
    let loan: PooledConnection | undefined;
    while (loan === undefined) loan = this.lend(await this.openRecord(), trace);
    const holders = (checkout.holding ?? []).filter(({ isValid }) => isValid).flatMap(sessionsOf);
    for (const session of sessionsOf(loan)) session.nestIn(holders);
    return loan;
  }

  tryConnect(): undefined {
    return undefined;
  }

  override recreate(): RollbackPool {
    this.#state = 'superseded';
    return new RollbackPool(this.#outer, this.#former);
  }

  /**
   * The application closes its engine in the middle of a test: the pool that it has opened is closed, too.
   */
  override async dispose(): Promise<void> {
    await super.dispose();
    if (this.#state === 'superseded') return;
    this.#state = 'superseded';
    await this.#outer.end();
    await this.#former.dispose();
  }

  size(): number {
    return 0;
  }

  checkedIn(): number {
    return 0;
  }

  overflow(): number {
    return 0;
  }

  protected receive(_loan: PooledConnection, record: ConnectionRecord): Promise<void> {
    return record.close();
  }
}

function sessionsOf({ session }: PooledConnection): RollbackSession[] {
  const own = recordedSession(session);
  return own instanceof RollbackSession ? [own] : [];
}
