import { COORDINATOR_QUESTION } from '../driver/distributed.js';
import { storedWithWarnings } from '../driver/stored-with-warnings.js';
import type { Control } from '../driver/driver.js';
import { CommitOutcomeUnknownError, DBAPIError, UnexpectedRollbackError } from '../errors/errors.js';
import { leavesOutcomeUnknown, sqlStateOf } from '../errors/sqlstate.js';
import { autocommitControl, beginControl, type TransactionOptions } from './isolation.js';
import type { OutcomeInquiry } from './outcome-inquiry.js';
import { Transaction } from './transaction.js';
import * as refused from './transaction-errors.js';
import type { ControlEnds, ServerWord, TransactionOwner } from './transaction-host.js';
import { nameAndReasonOf } from '../errors/thrown.js';

/** The roots of one connection, which take turns. */
interface RootLine {
  /** Waits until the root before `root` has ended; `signal` ends the wait. Undefined where it is its turn. */
  enter(root: RootTransaction<never>, signal: AbortSignal | undefined): Promise<void> | undefined;
}

/** How a root comes to its session. */
export interface RootPlace {
  /** The roots of its connection. */
  readonly line?: RootLine;
  /** The options of BEGIN, where they are known no earlier than the first statement. */
  readonly late?: (() => TransactionOptions | undefined) | undefined;
  /** True: BEGIN is sent with AUTOCOMMIT, too. */
  readonly isForced?: boolean;
}

const READ_ONLY_TRANSACTION = '25006';
const INTERNAL_ERROR = 'XX000';
const ENDS = { committed: 'committed', aborted: 'rolled-back', unknown: 'cancelled' } as const;

/** A transaction of the server. BEGIN travels with its first statement; without one, nothing is ever sent. */
export class RootTransaction<Connection = unknown> extends Transaction<Connection> {
  override readonly nested = false;
  /** @internal */
  override readonly isScoped = false;
  declare readonly parent: undefined;
  readonly #place: RootPlace;
  #options: TransactionOptions;
  #late: RootPlace['late'];
  /** What listeners were told of it. */
  #told: 'nothing' | 'begin' | 'end' = 'nothing';

  /** @internal */
  constructor(owner: TransactionOwner<Connection>, options: TransactionOptions = {}, place: RootPlace = {}) {
    super(owner, options);
    this.#options = options;
    this.#place = place;
    this.#late = place.late;
  }

  get options(): TransactionOptions {
    return this.#options;
  }

  /** @internal */
  override get isAutocommit(): boolean {
    return this.#options.isolationLevel === 'AUTOCOMMIT' && this.#place.isForced !== true;
  }

  /**
   * Tells of the beginning. What a listener throws ends the transaction, in which nothing was sent. @internal
   */
  announce(): void {
    this.#told = 'begin';
    try {
      this.host.observer?.begin(this);
    } catch (error) {
      this.#told = 'end';
      void this.end('rolled-back');
      throw error;
    }
  }

  // Once, and only where `begin` was told.
  #tellEnd(end: 'commit' | 'rollback'): void {
    if (this.#told !== 'begin') return;
    this.#told = 'end';
    this.host.observer?.[end](this);
  }

  protected notifyRollback(): void {
    this.#tellEnd('rollback');
  }

  /** @internal */
  prepare(signal?: AbortSignal): Promise<unknown> | undefined {
    this.observation?.start();
    if (this.#late !== undefined) {
      this.#options = this.#late() ?? {};
      this.#late = undefined;
    }
    const turn = this.#place.line?.enter(this as never, signal);
    return turn === undefined
      ? this.host.ready(signal, this.#options)
      : turn.then(() => this.host.ready(signal, this.#options));
  }

  /** @internal */
  opening(): Control[] {
    if (!this.#isIdle) throw refused.startedElsewhere();
    if (this.isAutocommit) return autocommitControl(this.#options);
    const told = this.observation?.settings;
    const options =
      told === undefined
        ? this.#options
        : { ...this.#options, settings: { ...told, ...this.#options.settings } };
    const control = beginControl(options, () => this.markActive());
    this.host.observer?.sent(`${control[0]?.text ?? ''} (implicit)`);
    return control;
  }

  /** @internal */
  commitNow(): Promise<void> | undefined {
    return this.isPlain ? this.finish(() => this.#store(), true) : this.#commitInSteps();
  }

  async #commitInSteps(): Promise<void> {
    try {
      this.expectActive();
      if (this.state === 'active') this.expectOnServer();
      if (this.hooks !== undefined) await this.prepareCommit();
      if (this.rollbackReason === undefined) this.#tellEnd('commit');
    } catch (error) {
      // A lost one stays attached until its owner rolls it back.
      if (this.isActive || this.isPastDeadline) await this.rollbackQuietly();
      throw error;
    }
    try {
      await this.finish(() => this.#store(), true);
    } catch (error) {
      if (error instanceof CommitOutcomeUnknownError) await this.hooks?.runAfterUnknown();
      else if (this.state === 'rolled-back') await this.hooks?.runAfterRollback();
      throw this.host.observer?.replacementOf(error) ?? error;
    }
    if (this.hooks === undefined) return;
    if (this.state === 'committed') await this.hooks.runAfterCommit();
    else await this.hooks.runAfterRollback();
  }

  #store(): Promise<void> | undefined {
    const isKept = this.rollbackReason === undefined && !this.isPastDeadline;
    if (isKept && this.state === 'active') return this.#sendCommit();
    return isKept && this.state === 'pending' ? this.end('committed') : this.#storeNothing();
  }

  async #storeNothing(): Promise<void> {
    if (this.isPastDeadline) await this.#undoQuietly();
    this.expectActive();
    const { rollbackReason } = this;
    if (rollbackReason !== undefined) {
      await this.#undoQuietly();
      if (!rollbackReason.isExpected) throw this.#unexpectedRollback(rollbackReason.cause);
    } else if (this.#isIdle) await this.#refuseCommit();
    else await this.#sendCommit();
  }

  /** The server is in no transaction; there may be no session. */
  get #isIdle(): boolean {
    return (this.host.server?.status ?? 'idle') === 'idle';
  }

  async #undoQuietly(): Promise<void> {
    await this.undo().catch((failure: unknown) => this.host.engine.report(failure));
  }

  protected sendRollback(ends: ControlEnds): Promise<void> | undefined {
    // Pending: nothing was sent. Idle: the server refused the BEGIN, or the session is gone.
    if (this.state === 'pending' || this.#isIdle) return undefined;
    this.host.observer?.sent('ROLLBACK');
    return this.host.command('ROLLBACK', ends);
  }

  async #refuseCommit(): Promise<void> {
    const cause = this.firstError;
    await this.end('rolled-back');
    throw this.#unexpectedRollback(cause);
  }

  #sendCommit(): Promise<void> {
    this.expectOnServer();
    // On a session that is known to be dead, COMMIT is never sent: its outcome is known.
    const { server } = this.host;
    this.host.observer?.sent('COMMIT');
    return this.host.command('COMMIT', {
      observation: this.observation,
      // The server answers COMMIT in a failed transaction with the tag ROLLBACK and no error.
      answered: (tag, answer) => {
        const warnings = answer?.warnings;
        if (warnings !== undefined)
          this.host.engine.warn(storedWithWarnings(`the transaction started at ${this.origin}`, warnings));
        return tag === 'ROLLBACK' ? this.#refuseCommit() : this.end('committed');
      },
      failed: async (error) => {
        const failure = await this.#commitFailed(error, server);
        if (failure !== undefined) throw failure;
      },
    });
  }

  /** What is thrown; undefined where the data is stored. `server`: to which COMMIT was sent, if it was. */
  async #commitFailed(error: unknown, server: ServerWord | undefined): Promise<unknown> {
    if (isRefusal(error) && (sqlStateOf(error) !== INTERNAL_ERROR || (await this.#isOneServer()))) {
      // Mostly the server has rolled back by itself; it has not where COMMIT was not even understood.
      await this.#undoQuietly();
      return error;
    }
    this.host.invalidate(error);
    // A server that has become read-only is left, and it has said that nothing is stored.
    if (server === undefined || sqlStateOf(error) === READ_ONLY_TRANSACTION) {
      await this.end('cancelled');
      return error;
    }
    const inquiry = this.host.inquiry(server);
    if (inquiry !== undefined) return await this.#resolve(inquiry, error);
    this.observation?.ended('unknown', error);
    await this.end('cancelled');
    return refused.outcomeUnknown(this.origin, error);
  }

  /** A coordinator may have stored a part of what it could not store as a whole. */
  async #isOneServer(): Promise<boolean> {
    let isDistributed: unknown;
    await this.host.command(COORDINATOR_QUESTION, {
      observation: undefined,
      answered: (_, answer) => {
        ({ isDistributed } = (answer?.rows[0] ?? {}) as { readonly isDistributed?: unknown });
        return undefined;
      },
      failed: async () => undefined,
    });
    return isDistributed === false;
  }

  async #resolve(inquiry: OutcomeInquiry, cause: unknown): Promise<unknown> {
    const { transactionId: id } = inquiry;
    const startedAt = performance.now();
    const outcome = await inquiry.outcome();
    if (outcome === 'unknown') this.observation?.ended('unknown', cause);
    await this.end(ENDS[outcome], true);
    const duration = performance.now() - startedAt;
    const { host, role } = this.observation ?? {};
    this.host.observer?.commitResolved({ transactionId: id, outcome, duration, host, role });
    if (outcome === 'committed') return undefined;
    return outcome === 'aborted'
      ? refused.commitLost(this.origin, cause, id)
      : refused.outcomeUnknown(this.origin, cause, id);
  }

  #unexpectedRollback(cause: unknown): UnexpectedRollbackError {
    const reason = cause instanceof Error ? ` (${nameAndReasonOf(cause)})` : '';
    return new UnexpectedRollbackError(
      `nothing of the transaction started at ${this.origin} was stored: it had failed before its COMMIT${reason}. ` +
        `Let the error out of the transaction, or catch it around a nested one.`,
      { cause },
    );
  }
}

/** The server answered COMMIT with an error and lives: nothing is stored, for certain. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof DBAPIError) || error.connectionInvalidated) return false;
  return error.sqlState !== undefined && !leavesOutcomeUnknown(error.sqlState);
}
