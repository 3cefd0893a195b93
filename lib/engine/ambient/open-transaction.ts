import { asConnection, type AsyncConnection, type AsyncTransaction } from '../connection/connection.js';
import { ConnectionCore } from '../connection/connection-core.js';
import type { ConnectionHost, ConnectionSettings } from '../connection/connection-host.js';
import { ArgumentError, PropagationError } from '../errors/errors.js';
import { ContextFrame, type AmbientContext } from './async-context.js';
import { PROPAGATION, type Propagation, type PropagationAction } from './propagation.js';
import type { RetryOptions } from '../transaction/retry.js';
import type { Lease, Scope } from './scope.js';
import { checkJoiningOptions } from '../transaction/nested-options.js';
import { settled } from '../util/promise-try.js';
import type { TransactionOptions } from '../transaction/isolation.js';
import { NestedTransaction } from '../transaction/nested-transaction.js';

/** A class of errors, or a question about one. */
export type ErrorMatcher = (abstract new (...args: never[]) => Error) | ((error: unknown) => boolean);

/** How an ambient transaction begins, what it does to its surroundings, and which errors undo it. */
export interface TransactionalOptions extends TransactionOptions {
  /** Default `nested`: a root transaction when none is active, a savepoint inside one. */
  readonly propagation?: Propagation | undefined;
  /**
   * True: what it stores is stored when it returns. Inside another transaction it is refused. Default false.
   */
  readonly durable?: boolean | undefined;
  /** Runs the root again after 40001 and 40P01; a number is how often. Default 0. */
  readonly retry?: number | RetryOptions | undefined;
  /** Only these errors roll back. Default: all. */
  readonly rollbackFor?: readonly ErrorMatcher[] | undefined;
  /** These errors commit what was done before they pass. */
  readonly noRollbackFor?: readonly ErrorMatcher[] | undefined;
}

/**
 * An ambient transaction, from the call to its end. Nothing is sent and nothing is taken from the pool before
 * its first statement, so that one may be opened before it is known whether it is needed.
 */
export class OpenTransaction {
  readonly options: TransactionalOptions;
  readonly #source: ConnectionHost<AsyncConnection>;
  readonly #ambient: AmbientContext;
  readonly #frame: ContextFrame;
  readonly #lease: Lease | undefined;
  /** Undefined where the propagation mode asks for none. */
  readonly transaction: AsyncTransaction | undefined;
  /** True: this call began or nested the transaction and ends it. */
  readonly isOwn: boolean;

  /** The options are checked where they entered. @internal */
  constructor(
    source: ConnectionHost<AsyncConnection>,
    ambient: AmbientContext,
    options: TransactionalOptions,
  ) {
    this.#source = source;
    this.#ambient = ambient;
    this.options = options;
    const parent = ambient.current;
    parent?.expectRoom();
    const scope = parent?.openScope;
    const { action, active } = chooseAction(options, parent);
    this.isOwn = action === 'begin' || action === 'nest';
    if (action === 'join' && active !== undefined)
      checkJoiningOptions(options, active, source.sessionSettings);
    const transaction =
      action === 'begin'
        ? rootIn(source, active === undefined ? parent : undefined, options)
        : action === 'nest'
          ? nestedIn(active?.innermost, options)
          : action === 'join'
            ? active
            : 'none';
    if (action === 'begin') this.#lease = scope?.lease();
    this.#frame = new ContextFrame({ parent, scope, transaction });
    this.transaction = this.#frame.transaction;
  }

  /** True: this call began the transaction of the server, so that it may be run again as a whole. */
  get isRoot(): boolean {
    return this.isOwn && this.transaction?.nested === false;
  }

  /** Tells observers that it is another attempt at the work of `failed`. */
  repeats(failed: OpenTransaction): void {
    const observation = failed.transaction?.observation;
    if (observation !== undefined) this.transaction?.observation?.repeats(observation);
  }

  /**
   * Runs `work` in the transaction. May be called many times before the end: generators and Observables do.
   */
  run<T>(work: () => T): T {
    const observation = this.isOwn ? this.transaction?.observation : undefined;
    return this.#ambient.run(this.#frame, observation === undefined ? work : () => observation.run(work));
  }

  /**
   * Runs `work` to its end, then commits what it did or, when it throws, undoes it. When the transaction's
   * time has passed it is undone and rejects, whatever `work` is waiting for.
   */
  // As an async function it would make a promise more.
  complete<T>(work: () => Promise<T> | T): Promise<T> {
    const { transaction } = this;
    let running: Promise<T>;
    try {
      running =
        transaction?.deadline === undefined
          ? Promise.resolve(this.run(work))
          : transaction.untilDeadline(() => new Promise<T>((resolve) => resolve(this.run(work))));
    } catch (error) {
      running = Promise.reject(error);
    }
    return running.then(
      (result) => this.#commitNow()?.then(() => result) ?? result,
      async (error: unknown) => {
        await this.fail(error);
        throw error;
      },
    );
  }

  /** The work has succeeded. Its later statements are refused, those in flight are awaited, then COMMIT. */
  commit(): Promise<void> {
    return settled(() => this.#commitNow());
  }

  #commitNow(): Promise<void> | undefined {
    const { transaction } = this;
    if (this.isOwn && transaction !== undefined) {
      if (this.#ambient.hasForeignWriters) this.#warnOfForeignWriter(transaction);
      if (this.#lease !== undefined || !transaction.isPlain) return this.#commitInSteps(transaction);
    }
    this.#frame.close();
    return this.isOwn ? transaction?.commitNow() : undefined;
  }

  async #commitInSteps(transaction: AsyncTransaction): Promise<void> {
    try {
      if (transaction.hooks !== undefined) await this.run(() => transaction.prepareCommit());
      this.#frame.close();
      await transaction.commit();
    } catch (error) {
      this.#frame.close();
      await transaction.rollbackQuietly();
      throw error;
    } finally {
      if (this.#lease !== undefined) await this.#lease.release();
    }
  }

  /** Of a transaction in which nothing was sent. */
  #warnOfForeignWriter(transaction: AsyncTransaction): void {
    if (!transaction.isUntouched) return;
    const foreignWriter = this.#ambient.foreignWriterIn(transaction);
    if (foreignWriter === undefined) return;
    this.#ambient.warnings.once(
      this.#source.logger,
      transaction.origin,
      `the transaction ran no statement in its database '${this.#ambient.databaseName}', and the database ` +
        `'${foreignWriter}' has stored rows inside it that it can't undo. Begin it on the engine of '${foreignWriter}'.`,
    );
  }

  /**
   * The work has failed with `error`: rolls back and never hides `error`, or commits what the options let
   * pass. Then it throws only where that COMMIT failed: the data is not stored.
   */
  async fail(error: unknown): Promise<void> {
    if (!this.#rollsBackFor(error)) return await this.commit();
    await this.rollback(error);
  }

  /** Undoes the work; a transaction that was joined may no longer commit. */
  async rollback(cause: unknown): Promise<void> {
    this.#frame.close();
    const { transaction } = this;
    if (transaction === undefined) return;
    if (!this.isOwn) return transaction.markRollbackOnly(cause);
    if (this.#ambient.hasForeignWriters) this.#warnOfForeignWriter(transaction);
    transaction.observation?.undoneFor(cause);
    try {
      await transaction.rollbackQuietly();
    } finally {
      await this.#lease?.release();
    }
  }

  #rollsBackFor(error: unknown): boolean {
    try {
      const { rollbackFor, noRollbackFor } = this.options;
      if (noRollbackFor?.some((matcher) => matches(matcher, error)) === true) return false;
      return rollbackFor === undefined || rollbackFor.some((matcher) => matches(matcher, error));
    } catch (failure) {
      // The safe answer; the work's own error is the one that is thrown.
      this.#source.report(failure);
      return true;
    }
  }
}

/** What the propagation mode asks for here, and the transaction that is active for it. */
function chooseAction(
  { propagation = 'nested', durable = false }: TransactionalOptions,
  parent: ContextFrame | undefined,
): { readonly action: PropagationAction; readonly active: AsyncTransaction | undefined } {
  const row = PROPAGATION[propagation];
  // These two leave the work around them alone: they start afresh where that has ended.
  const startsAfresh = row.active === 'begin' || row.active === 'suspend';
  const active = startsAfresh ? parent?.activeOrNone : parent?.active;
  const action = active === undefined ? row.none : row.active;
  if (durable && active !== undefined && (action === 'nest' || action === 'join')) {
    throw new PropagationError(
      `a durable transaction refuses to be part of the one started at ${active.origin}, which may still be rolled back. ` +
        `Call it outside of that one, or give it propagation 'requires-new'.`,
    );
  }
  if (action !== 'refuse') return { action, active };
  throw new PropagationError(
    active === undefined
      ? `propagation '${propagation}' needs an active transaction and there is none. Call it from a transactional method.`
      : `propagation '${propagation}' refuses the active transaction started at ${active.origin}.`,
  );
}

/** One object for all, of which there may be thousands that wait. */
const OF_TRANSACTION: ConnectionSettings = { mode: 'transaction' };

/** A root on a connection of its own, or on the scope's where `frame` is outside of every transaction. */
function rootIn(
  source: ConnectionHost<AsyncConnection>,
  frame: ContextFrame | undefined,
  options: TransactionalOptions,
): AsyncTransaction {
  const scope = frame?.openScope;
  if (scope?.hasConnection === true && !isUsedAround(scope, frame)) return scope.enqueueTransaction(options);
  return new ConnectionCore(source, asConnection, OF_TRANSACTION).transactions.begin(options);
}

function nestedIn(
  parent: AsyncTransaction | undefined,
  options: TransactionOptions,
): AsyncTransaction | undefined {
  return parent && new NestedTransaction(parent, options, true);
}

// Work around this one is in a transaction on the scope's connection and waits for this one: waiting for that
// transaction would never end.
function isUsedAround(scope: Scope, frame: ContextFrame | undefined): boolean {
  return scope.transaction !== undefined || frame?.isInTransactionOn(scope.connection) === true;
}

function matches(matcher: ErrorMatcher, error: unknown): boolean {
  const isClass = matcher === Error || matcher.prototype instanceof Error;
  if (isClass) return error instanceof matcher;
  const answer: unknown = (matcher as (error: unknown) => unknown)(error);
  if (typeof (answer as PromiseLike<unknown> | undefined)?.then === 'function')
    throw new ArgumentError(
      'a predicate of rollbackFor or noRollbackFor must answer at once; got a promise.',
    );
  return Boolean(answer);
}
