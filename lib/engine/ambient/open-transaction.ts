import { makeConnection } from '../connection/connection.js';
import type { AsyncConnection, AsyncTransaction } from '../connection/connection.js';
import type { ConnectionHost } from '../connection/connection-host.js';
import { ArgumentError, PropagationError } from '../errors/errors.js';
import { ContextFrame } from './async-context.js';
import type { AmbientContext } from './async-context.js';
import { PROPAGATION } from './propagation.js';
import type { Propagation } from './propagation.js';
import type { RetryOptions } from './retry.js';
import type { Lease, Scope } from './scope.js';
import { checkJoiningOptions } from '../transaction/nested-options.js';
import type { TransactionOptions } from '../transaction/isolation.js';
import { NestedTransaction } from '../transaction/nested-transaction.js';

/** A class of errors, or a question about one. */
export type ErrorMatcher = (abstract new (...args: never[]) => Error) | ((error: unknown) => boolean);

/** How an ambient transaction begins, what it does to its surroundings, and which errors undo it. */
export interface TransactionalOptions extends TransactionOptions {
  /** Default `nested`: a root transaction when none is active, a savepoint inside one. */
  readonly propagation?: Propagation | undefined;
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
  readonly #ambient: AmbientContext;
  readonly #frame: ContextFrame;
  readonly #lease: Lease | undefined;
  /** `own`: begun or nested here. `joined`: somebody else ends it. `none`: there is none. */
  readonly #kind: 'own' | 'joined' | 'none';

  /** @internal */
  constructor(
    source: ConnectionHost<AsyncConnection>,
    ambient: AmbientContext,
    options: TransactionalOptions,
  ) {
    this.#ambient = ambient;
    this.options = options;
    const parent = ambient.current;
    const scope = parent?.openScope;
    const propagation = options.propagation ?? 'nested';
    const row = PROPAGATION[propagation] as (typeof PROPAGATION)[Propagation] | undefined;
    if (row === undefined) {
      throw new ArgumentError(
        `propagation is '${propagation}': it takes ${Object.keys(PROPAGATION).join(', ')}.`,
      );
    }
    // These two leave the work around them alone: they start afresh where that has ended.
    const active = row.active === 'begin' || row.active === 'suspend' ? parent?.activeOrNone : parent?.active;
    const action = active === undefined ? row.none : row.active;
    switch (action) {
      case 'begin': {
        const isShared = active === undefined && scope?.hasConnection === true && !isSetAside(scope, parent);
        const transaction = isShared
          ? scope.queueRoot(options)
          : makeConnection(source, { mode: 'transaction' }).core.beginRoot(options);
        this.#kind = 'own';
        this.#lease = scope?.lease();
        this.#frame = new ContextFrame({ parent, scope, transaction });
        return;
      }
      case 'nest':
        this.#kind = 'own';
        this.#frame = new ContextFrame({ parent, scope, transaction: nestedIn(active?.innermost, options) });
        return;
      case 'join':
        this.#kind = 'joined';
        if (active !== undefined) checkJoiningOptions(options, active);
        this.#frame = new ContextFrame({ parent, scope, transaction: active });
        return;
      case 'suspend':
      case 'plain':
        this.#kind = 'none';
        this.#frame = new ContextFrame({ parent, scope, transaction: 'none' });
        return;
      case 'refuse':
        throw new PropagationError(
          active === undefined
            ? `propagation '${propagation}' needs an active transaction and there is none. Call it from a transactional method.`
            : `propagation '${propagation}' refuses the active transaction begun at ${active.origin}.`,
        );
      default:
        action satisfies never;
        throw new PropagationError(`propagation '${propagation}' has no meaning here.`);
    }
  }

  /** Undefined where the propagation mode asks for none. */
  get transaction(): AsyncTransaction | undefined {
    return this.#frame.transaction;
  }

  /** True: this call began or nested the transaction and ends it. */
  get isOwn(): boolean {
    return this.#kind === 'own';
  }

  /** True: this call began the transaction of the server, so that it may be run again as a whole. */
  get isRoot(): boolean {
    return this.#kind === 'own' && this.#frame.transaction?.nested === false;
  }

  /**
   * Runs `work` in the transaction. May be called many times before the end: generators and Observables do.
   */
  run<T>(work: () => T): T {
    return this.#ambient.run(this.#frame, work);
  }

  /** Runs `work` to its end, then commits what it did or, when it throws, undoes it. */
  async complete<T>(work: () => Promise<T> | T): Promise<T> {
    let result: T;
    try {
      result = await this.run(work);
    } catch (error) {
      await this.fail(error);
      throw error;
    }
    if (this.#lease !== undefined || !this.#commitAtOnce()) await this.commit();
    return result;
  }

  /**
   * The work has succeeded. Statements of it that come later are refused, those in flight are awaited, then
   * COMMIT.
   */
  async commit(): Promise<void> {
    const transaction = this.#frame.transaction;
    if (this.#kind !== 'own' || transaction === undefined) return this.#frame.close();
    if (this.#commitAtOnce()) return await this.#lease?.release();
    try {
      if (transaction.hasHooks) await this.run(() => transaction.prepareCommit());
      this.#frame.close();
      const concluding = transaction.conclude();
      if (concluding !== undefined) await concluding;
      await transaction.commit();
    } catch (error) {
      this.#frame.close();
      await transaction.rollback().catch((failure: unknown) => transaction.report(failure));
      throw error;
    } finally {
      if (this.#lease !== undefined) await this.#lease.release();
    }
  }

  /** Ends a transaction in which nothing was sent; false where there is more to it. */
  #commitAtOnce(): boolean {
    if (this.#kind !== 'own' || this.#frame.transaction?.commitUntouched() !== true) return false;
    this.#frame.close();
    return true;
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
    const transaction = this.#frame.transaction;
    if (transaction === undefined) return;
    if (this.#kind === 'joined') return transaction.condemn(cause);
    try {
      await transaction.rollback();
    } catch (failure) {
      transaction.report(failure);
    } finally {
      await this.#lease?.release();
    }
  }

  #rollsBackFor(error: unknown): boolean {
    const { rollbackFor, noRollbackFor } = this.options;
    if (noRollbackFor?.some((matcher) => matches(matcher, error)) === true) return false;
    return rollbackFor === undefined || rollbackFor.some((matcher) => matches(matcher, error));
  }
}

function nestedIn(
  parent: AsyncTransaction | undefined,
  options: TransactionOptions,
): AsyncTransaction | undefined {
  return parent && new NestedTransaction(parent, options);
}

// Work around this one is in a transaction on the scope's connection, and waits for this one: it can't wait
// for that.
function isSetAside(scope: Scope, frame: ContextFrame | undefined): boolean {
  return scope.transaction !== undefined || frame?.isInTransactionOn(scope.connection) === true;
}

function matches(matcher: ErrorMatcher, error: unknown): boolean {
  const isClass = matcher === Error || matcher.prototype instanceof Error;
  return isClass ? error instanceof matcher : (matcher as (error: unknown) => boolean)(error);
}
