import { IllegalStateError, TransactionEndedError } from '../../engine/index.js';
import type { Command, DriverConnection, Pool, PooledConnection } from '../../engine/index.js';
import { WhenEmpty } from '../../engine/util/when-empty.js';
import { recordedSession } from '../record/recording-session.js';
import { unprepared } from './piece.js';
import { RollbackSession, type SessionPlace } from './rollback-session.js';
import { TurnQueue } from './turn-queue.js';

/** The end of the test, and what a rollback leaves on the session. */
const LEAVE_NOTHING: readonly Command[] = [
  'ROLLBACK',
  'SELECT pg_catalog.pg_advisory_unlock_all()',
  'UNLISTEN *',
  'CLOSE ALL',
  'DISCARD SEQUENCES',
  // Those of PREPARE; the driver's own statements stay.
  `DO $nae$ DECLARE n text; BEGIN
    FOR n IN SELECT name FROM pg_catalog.pg_prepared_statements WHERE from_sql LOOP EXECUTE format('DEALLOCATE %I', n); END LOOP;
  END $nae$`,
].map(unprepared);

/**
 * The transaction around one test, on one connection of the application's pool, in which everything of the
 * test runs.
 */
export class OuterTransaction implements SessionPlace {
  readonly isOutermost = true;
  readonly turnTimeout: number;
  readonly turns: TurnQueue;
  readonly session: DriverConnection;
  readonly emptiedTables = new Set<string>();
  readonly #loan: PooledConnection;
  readonly #sessions = new Set<RollbackSession>();
  readonly #complaints = new Set<string>();
  readonly #whenSettled = new WhenEmpty();
  #ending: Promise<void> | undefined;

  private constructor(loan: PooledConnection, turnTimeout: number) {
    this.#loan = loan;
    this.session = recordedSession(loan.session);
    this.turnTimeout = turnTimeout;
    this.turns = new TurnQueue(turnTimeout);
  }

  static async begin(pool: Pool, turnTimeout: number): Promise<OuterTransaction> {
    const loan = await pool.connect();
    try {
      await recordedSession(loan.session).execute([], unprepared('BEGIN'));
      return new OuterTransaction(loan, turnTimeout);
    } catch (error) {
      await loan.close();
      throw error;
    }
  }

  get complaints(): readonly string[] {
    return [...this.#complaints];
  }

  /**
   * Waits until no connection is out, at most `timeout` ms; then gives the last statements of those that are.
   */
  async settle(timeout: number): Promise<readonly string[]> {
    await this.#whenSettled.wait(this.#sessions.size === 0, timeout);
    return [...this.#sessions].map(({ lastStatement }) => lastStatement);
  }

  openSession(): RollbackSession {
    if (!this.session.isOpen) {
      throw new IllegalStateError(
        "the connection of the test's transaction was lost, and with it all that the test had done. Test lost " +
          'connections in a suite without rollbackEach().',
      );
    }
    const session = new RollbackSession(this);
    this.#sessions.add(session);
    return session;
  }

  ended(session: RollbackSession): void {
    this.#sessions.delete(session);
    if (this.#sessions.size === 0) this.#whenSettled.notify();
  }

  check(statement: string): void {
    if (!this.session.isOpen || this.session.status !== 'idle') return;
    this.complain(
      `something behind the engine's back (a script, the driver's own client) ended the transaction around it, so that ` +
        `what the test does is stored. Last statement: ${statement}`,
    );
  }

  complain(what: string): void {
    this.#complaints.add(what);
  }

  noteIndependent(): void {}

  async prepare(): Promise<void> {
    if (this.#ending === undefined) return;
    throw new TransactionEndedError(
      'the test to which this work belongs has ended, and all it did was undone. Await the work in the test.',
    );
  }

  /** Undoes everything and gives the connection back. Idempotent. */
  end(): Promise<void> {
    this.#ending ??= this.#rollBack();
    return this.#ending;
  }

  async #rollBack(): Promise<void> {
    try {
      if (this.session.isOpen) {
        this.check('unknown');
        await this.session.executeMany([], LEAVE_NOTHING);
      }
    } catch (error) {
      this.#loan.invalidate(error);
      throw error;
    } finally {
      await this.#loan.close();
    }
  }
}
