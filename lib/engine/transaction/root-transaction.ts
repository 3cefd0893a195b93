import type { Control } from '../driver/driver.js';
import {
  CommitOutcomeUnknownError,
  DBAPIError,
  TransactionTimeoutError,
  UnexpectedRollbackError,
} from '../errors.js';
import { beginControl, checkTransactionOptions } from './isolation.js';
import type { TransactionOptions } from './isolation.js';
import { Transaction } from './transaction.js';
import type { TransactionOwner } from './transaction-host.js';

/** A transaction of the server. BEGIN travels with its first statement; without one, nothing is ever sent. */
export class RootTransaction<Connection = unknown> extends Transaction<Connection> {
  override readonly nested = false;
  override readonly parent = undefined;
  readonly #options: TransactionOptions;
  readonly #deadline: AbortController | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #turn: (() => Promise<void>) | undefined;

  /** With `turn`, the transaction waits for it before it opens: roots that share one connection follow each other. */
  constructor(
    owner: TransactionOwner<Connection>,
    options: TransactionOptions = {},
    turn?: () => Promise<void>,
  ) {
    checkTransactionOptions(options);
    super(owner, options.label);
    this.#options = options;
    this.#turn = turn;
    const { timeout } = options;
    if (timeout === undefined) return;
    const deadline = new AbortController();
    this.#deadline = deadline;
    this.#timer = setTimeout(() => deadline.abort(this.#timeoutError(timeout)), timeout);
    this.#timer.unref();
  }

  get deadline(): AbortSignal | undefined {
    return this.#deadline?.signal;
  }

  async open(): Promise<Control[]> {
    await this.#turn?.();
    await this.host.ready();
    return beginControl(this.#options, () => this.markActive());
  }

  /**
   * Commits. Throws {@link UnexpectedRollbackError} when the server rolled back instead, the server's error when a
   * deferred constraint refused, and {@link CommitOutcomeUnknownError} when the connection was lost meanwhile.
   */
  async commit(): Promise<void> {
    await this.#readyToCommit();
    if (this.rollbackReason !== undefined) return await this.#rollBackAsMarked();
    if (this.state === 'pending') await this.end('committed');
    else if (this.state === 'failed' && this.host.serverStatus === 'idle') await this.#refuseCommit();
    else await this.#sendCommit();
    const { hooks } = this;
    if (hooks === undefined) return;
    await this.host.outside(() => hooks.afterCommit((error) => this.host.report(error)));
  }

  /** Rolls back. No effect once the transaction has ended. */
  async rollback(): Promise<void> {
    await this.quiesce();
    if (!this.isActive) return await this.end('rolled-back');
    const { serverStatus } = this.host;
    // Pending: nothing was sent. Failed and idle: the server refused the BEGIN.
    const isOnServer = this.state !== 'pending' && serverStatus !== 'idle';
    try {
      if (isOnServer) await this.host.command(['ROLLBACK']);
    } catch (error) {
      this.host.invalidate(error);
      throw error;
    } finally {
      await this.#finish('rolled-back');
      await this.#afterRollback();
    }
  }

  async #readyToCommit(): Promise<void> {
    try {
      this.expectUsable();
      await this.prepareCommit();
      await this.quiesce();
      this.expectUsable();
    } catch (error) {
      if (this.isActive) await this.rollback().catch((failure: unknown) => this.host.report(failure));
      throw error;
    }
  }

  async #rollBackAsMarked(): Promise<void> {
    const reason = this.rollbackReason;
    await this.rollback();
    if (reason?.isExpected === false) throw this.#unexpectedRollback(reason.cause);
  }

  async #refuseCommit(): Promise<void> {
    const cause = this.firstError;
    await this.#finish('rolled-back');
    await this.#afterRollback();
    throw this.#unexpectedRollback(cause);
  }

  async #sendCommit(): Promise<void> {
    let tag: string;
    try {
      tag = await this.host.command(['COMMIT']);
    } catch (error) {
      throw await this.#commitFailed(error);
    }
    // The server answers COMMIT in a failed transaction with the tag ROLLBACK and no error.
    if (tag === 'ROLLBACK') await this.#refuseCommit();
    await this.#finish('committed');
  }

  async #commitFailed(error: unknown): Promise<unknown> {
    if (error instanceof DBAPIError && error.connectionInvalidated) {
      await this.#finish('cancelled');
      return new CommitOutcomeUnknownError(
        `the connection was lost during COMMIT of the transaction begun at ${this.origin}: the data is stored or it is ` +
          `not. Read it back before you repeat the work.`,
        { cause: error },
      );
    }
    try {
      if (this.host.serverStatus !== 'idle') await this.host.command(['ROLLBACK']);
    } catch (failure) {
      this.host.invalidate(failure);
    }
    await this.#finish('rolled-back');
    await this.#afterRollback();
    return error;
  }

  #finish(state: 'committed' | 'rolled-back' | 'cancelled'): Promise<void> {
    clearTimeout(this.#timer);
    return this.end(state);
  }

  async #afterRollback(): Promise<void> {
    const { hooks } = this;
    if (hooks === undefined) return;
    await this.host.outside(() => hooks.afterRollback((error) => this.host.report(error)));
  }

  #unexpectedRollback(cause: unknown): UnexpectedRollbackError {
    return new UnexpectedRollbackError(
      `nothing of the transaction begun at ${this.origin} was stored: it had failed before its COMMIT (${String(cause)}). ` +
        `Let the error out of the transaction, or catch it around a nested one.`,
      { cause },
    );
  }

  #timeoutError(timeout: number): TransactionTimeoutError {
    return new TransactionTimeoutError(
      `the transaction begun at ${this.origin} took longer than its timeout of ${timeout} ms and is rolled back.`,
    );
  }
}
