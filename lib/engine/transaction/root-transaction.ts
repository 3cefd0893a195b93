import type { Control } from '../driver/driver.js';
import { CommitOutcomeUnknownError, DBAPIError, UnexpectedRollbackError } from '../errors/errors.js';
import { Deadline } from './deadline.js';
import { beginControl } from './isolation.js';
import type { TransactionOptions } from './isolation.js';
import { Transaction } from './transaction.js';
import type { Opening, TransactionOwner } from './transaction-host.js';

/** A transaction of the server. BEGIN travels with its first statement; without one, nothing is ever sent. */
export class RootTransaction<Connection = unknown> extends Transaction<Connection> {
  override readonly nested = false;
  override readonly parent = undefined;
  #options: TransactionOptions;
  readonly #deadline: Deadline | undefined;
  readonly #turn: (() => Promise<void> | undefined) | undefined;
  /** What listeners were told of it. */
  #told: 'nothing' | 'begin' | 'end' = 'nothing';
  readonly #late: (() => TransactionOptions | undefined) | undefined;

  /**
   * With `turn`, the transaction waits for it before it opens: roots that share one connection follow each
   * other. `late` gives the options of BEGIN where they are known no earlier than the first statement.
   * @internal
   */
  constructor(
    owner: TransactionOwner<Connection>,
    options: TransactionOptions = {},
    turn?: () => Promise<void> | undefined,
    late?: () => TransactionOptions | undefined,
  ) {
    super(owner, options.label);
    this.#options = options;
    this.#turn = turn;
    this.#late = late;
    const { timeout } = options;
    if (timeout === undefined) return;
    this.#deadline = new Deadline(timeout, {
      origin: () => this.origin,
      expire: (reason) => this.#expire(reason),
    });
  }

  get options(): TransactionOptions {
    return this.#options;
  }

  get deadline(): AbortSignal | undefined {
    return this.#deadline?.signal;
  }

  /**
   * Tells of the beginning. What a listener throws ends the transaction, in which nothing was sent. @internal
   */
  announce(): void {
    this.#told = 'begin';
    try {
      this.host.observer?.begin();
    } catch (error) {
      this.#told = 'end';
      void this.end('rolled-back');
      throw error;
    }
  }

  // Once, however it ends, and only of what has begun aloud.
  #tellEnd(end: 'commit' | 'rollback'): void {
    if (this.#told !== 'begin') return;
    this.#told = 'end';
    this.host.observer?.[end]();
  }

  /** @internal */
  open(signal?: AbortSignal): Opening {
    if (this.#late !== undefined) this.#options = this.#late() ?? {};
    const turn = this.#turn?.();
    const ready = turn === undefined ? this.host.ready(signal) : turn.then(() => this.host.ready(signal));
    return ready === undefined ? this.#beginning() : ready.then(() => this.#beginning());
  }

  #beginning(): Control[] {
    const control = beginControl(this.#options, () => this.markActive());
    this.host.observer?.sent(`${control[0]?.text ?? ''} (implicit)`);
    return control;
  }

  /**
   * Commits. Throws {@link UnexpectedRollbackError} when the server rolled back instead, the server's error
   * when a deferred constraint refused, and {@link CommitOutcomeUnknownError} when the connection was lost
   * meanwhile.
   */
  async commit(): Promise<void> {
    try {
      this.expectActive();
      if (this.hasHooks) await this.prepareCommit();
      if (this.rollbackReason === undefined) this.#tellEnd('commit');
    } catch (error) {
      // A lost one stays attached until its owner rolls it back.
      if (this.isActive || this.deadline?.aborted === true)
        await this.rollback().catch((failure: unknown) => this.report(failure));
      throw error;
    }
    try {
      await this.settle(() => this.#store());
    } catch (error) {
      if (error instanceof CommitOutcomeUnknownError) await this.runAfterUnknown();
      else if (this.state === 'rolled-back') await this.runAfterRollback();
      throw this.host.observer?.replacementOf(error) ?? error;
    }
    if (!this.hasHooks) return;
    if (this.state === 'committed') await this.runAfterCommit();
    else await this.runAfterRollback();
  }

  /** Rolls back. No effect once the transaction has ended. */
  async rollback(): Promise<void> {
    try {
      await this.settle(() => this.#undo());
    } catch (error) {
      throw this.host.observer?.replacementOf(error) ?? error;
    } finally {
      if (this.state !== 'committed') await this.runAfterRollback();
    }
  }

  #store(): Promise<void> {
    const isKept = this.rollbackReason === undefined && this.deadline?.aborted !== true;
    return isKept && this.state === 'active' ? this.#sendCommit() : this.#storeNothing();
  }

  async #storeNothing(): Promise<void> {
    if (this.deadline?.aborted === true) await this.#undo().catch((failure: unknown) => this.report(failure));
    this.expectActive();
    const { rollbackReason } = this;
    if (rollbackReason !== undefined) {
      await this.#undo().catch((failure: unknown) => this.report(failure));
      if (!rollbackReason.isExpected) throw this.#unexpectedRollback(rollbackReason.cause);
    } else if (this.state === 'pending') await this.end('committed');
    else if (this.host.serverStatus === 'idle') await this.#refuseCommit();
    else await this.#sendCommit();
  }

  async #undo(): Promise<void> {
    try {
      this.#tellEnd('rollback');
    } finally {
      try {
        await this.#undoOnServer();
      } finally {
        await this.end('rolled-back');
      }
    }
  }

  async #undoOnServer(): Promise<void> {
    // Pending: nothing was sent. Idle: the server refused the BEGIN, or the session is gone.
    if (!this.isActive || this.state === 'pending' || this.host.serverStatus === 'idle') return;
    try {
      this.host.observer?.sent('ROLLBACK');
      await this.host.command('ROLLBACK');
    } catch (error) {
      this.host.invalidate(error);
      throw error;
    }
  }

  async #refuseCommit(): Promise<void> {
    const cause = this.firstError;
    await this.end('rolled-back');
    throw this.#unexpectedRollback(cause);
  }

  async #sendCommit(): Promise<void> {
    // On a session that is known to be dead, COMMIT is never sent: its outcome is known.
    const { isConnected } = this.host;
    let tag: string;
    this.host.observer?.sent('COMMIT');
    try {
      tag = (await this.host.command('COMMIT')).command;
    } catch (error) {
      throw await this.#commitFailed(error, isConnected);
    }
    // The server answers COMMIT in a failed transaction with the tag ROLLBACK and no error.
    if (tag === 'ROLLBACK') await this.#refuseCommit();
    const ended = this.end('committed');
    if (ended !== undefined) await ended;
  }

  async #commitFailed(error: unknown, wasSent: boolean): Promise<unknown> {
    if (error instanceof DBAPIError && !error.connectionInvalidated && this.host.serverStatus === 'idle') {
      await this.end('rolled-back');
      return error;
    }
    this.host.invalidate(error);
    await this.end('cancelled');
    if (!wasSent) return error;
    return new CommitOutcomeUnknownError(
      `the connection was lost during COMMIT of the transaction begun at ${this.origin}: the data is stored or it is ` +
        `not. Read it back before you repeat the work.`,
      { cause: error },
    );
  }

  protected override end(state: 'committed' | 'rolled-back' | 'cancelled'): Promise<void> | undefined {
    this.#deadline?.clear();
    return super.end(state);
  }

  // Undone at once, whatever the work is waiting for; attached until the work has heard of it.
  #expire(reason: unknown): void {
    this.host.stopWaiting(reason);
    const expiry = this.settle(async () => {
      await this.#undoOnServer();
      this.markRolledBack();
    });
    expiry.catch((failure: unknown) => this.report(failure));
  }

  #unexpectedRollback(cause: unknown): UnexpectedRollbackError {
    const reason = cause instanceof Error ? ` (${String(cause)})` : '';
    return new UnexpectedRollbackError(
      `nothing of the transaction begun at ${this.origin} was stored: it had failed before its COMMIT${reason}. ` +
        `Let the error out of the transaction, or catch it around a nested one.`,
      { cause },
    );
  }
}
