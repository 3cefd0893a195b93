import { NullPool } from '../../engine/index.js';
import type { CheckoutOptions, Pool, PooledConnection } from '../../engine/index.js';
import { recordedSession } from '../record/recording-session.js';
import type { OuterTransaction } from './outer-transaction.js';
import { RollbackSession } from './rollback-session.js';

/** Every connection that it lends is the one of the test's transaction. */
export class RollbackPool extends NullPool {
  override readonly name: string = 'RollbackPool';
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

  override async connect(options: CheckoutOptions = {}): Promise<PooledConnection> {
    const loan = await super.connect(options);
    const holders = (options.holding ?? []).filter(({ isValid }) => isValid).flatMap(sessionsOf);
    for (const session of sessionsOf(loan)) session.nestIn(holders);
    return loan;
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
}

function sessionsOf({ session }: PooledConnection): RollbackSession[] {
  const own = recordedSession(session);
  return own instanceof RollbackSession ? [own] : [];
}
