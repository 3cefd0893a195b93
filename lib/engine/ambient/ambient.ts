import { CallSite } from '../util/call-site.js';
import type { AsyncConnection, AsyncTransaction, ConnectionSource } from '../connection/connection.js';
import type { Dialect } from '../connection/dialect.js';
import { NoActiveScopeError } from '../errors/errors.js';
import type { ExecutionOptions } from '../execution/execution-options.js';
import { Executor } from '../execution/executor.js';
import type { AmbientContext } from './async-context.js';
import { reportError } from '../util/logger.js';
import type { EngineLogger } from '../util/logger.js';
import type { OpenScopes } from './open-scopes.js';
import { OpenTransaction } from './open-transaction.js';
import type { TransactionalOptions } from './open-transaction.js';
import { mergeOptions } from '../util/merge-options.js';
import type { Pool } from '../pool/pool.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import { withRetry } from './retry.js';
import type { RetryOptions } from './retry.js';
import { Scope, SCOPE_OPTIONS } from './scope.js';
import { ScopedConnection } from '../connection/scoped-connection.js';
import type { ScopeOptions } from './scope.js';
import type { CompiledCache } from '../statement/compiled-cache.js';
import { TRANSACTIONAL_OPTIONS } from './transactional-options.js';
import type { TransactionHook } from '../transaction/hooks.js';
import type { ObserverFactory } from '../execution/connection-observer.js';
import { expectFunction } from '../util/argument.js';
import { Watchdog } from '../util/watchdog.js';

// This library's own frame, and enough to get past a dependency that calls it.
const FRAMES_OF_CALLER = 3;

/**
 * The ambient half of an engine: transactions and scopes that the code inside them does not have to be
 * handed.
 */
export abstract class AmbientEngine extends Executor implements ConnectionSource {
  abstract readonly pool: Pool;
  abstract readonly compiledCache: CompiledCache;
  abstract readonly logger: EngineLogger;
  abstract readonly dialect: Dialect;
  /** @internal */
  abstract readonly observers: ObserverFactory<AsyncConnection>;
  /** @internal */
  abstract readonly nestedWaitTimeout: number;
  /** @internal */
  abstract readonly commitTimeout: number;
  /** @internal */
  readonly watchdog = new Watchdog();
  protected abstract readonly ambient: AmbientContext;
  protected abstract readonly scopes: OpenScopes;
  protected abstract readonly transactionDefaults: TransactionalOptions | undefined;

  abstract getExecutionOptions(): Readonly<ExecutionOptions>;

  /**
   * Runs `work` in an ambient transaction: everything in it that uses this engine takes part. Committed when
   * it returns, rolled back when it throws; inside another one it is a savepoint, unless `propagation` says
   * otherwise.
   *
   * @throws UnexpectedRollbackError when a statement failed and the error was swallowed: nothing is stored
   * then.
   */
  transaction<T>(work: () => Promise<T> | T, options: TransactionalOptions = {}): Promise<T> {
    try {
      expectFunction('engine.transaction()', work);
      const parsed = this.transactionalOptions(options);
      // Taken here, where the stack is short: deeper down it would be the most expensive step.
      const { label = new CallSite(FRAMES_OF_CALLER) } = parsed;
      const open = new OpenTransaction(this, this.ambient, { ...parsed, label });
      if (open.options.retry === undefined) return open.complete(work);
      return this.completeTransaction(open, work, work);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Ends a transaction whose work was called already: it has given or thrown what `result` does. As its
   * `retry` says, it calls
   * `work` in new ones. For code that has to see what comes back before it knows how to end it.
   */
  async completeTransaction<T>(
    first: OpenTransaction,
    result: () => Promise<T> | T,
    work: () => Promise<T> | T,
  ): Promise<T> {
    const { options } = first;
    if (options.retry === undefined) return await first.complete(result);
    let open = first;
    let run = (): Promise<T> => first.complete(result);
    const again = (): Promise<T> => {
      open = new OpenTransaction(this, this.ambient, options);
      return open.complete(work);
    };
    const attempt = async (): Promise<T> => {
      const now = run;
      run = again;
      return await now();
    };
    return await withRetry(attempt, options.retry, () => open.isRoot);
  }

  /**
   * The options of a transaction with what the engine's own options say where they are silent. What those say
   * of BEGIN is for roots: inside a transaction, it has said so already.
   *
   * @throws ArgumentError for a wrong option.
   */
  transactionalOptions(options: TransactionalOptions): TransactionalOptions {
    const merged = this.#mergedOptions(TRANSACTIONAL_OPTIONS.parse(options));
    return merged.retry === undefined ? merged : { ...merged, retry: this.#announced(merged.retry) };
  }

  #mergedOptions(options: TransactionalOptions): TransactionalOptions {
    const defaults = this.transactionDefaults;
    if (defaults === undefined) return options;
    const merged = mergeOptions(defaults, options);
    if (merged.propagation === 'requires-new' || this.ambient.current?.isInside !== true) return merged;
    const { propagation, retry, rollbackFor, noRollbackFor } = merged;
    return { ...options, propagation, retry, rollbackFor, noRollbackFor };
  }

  /** The same, and each retry is told of. */
  #announced(retry: number | RetryOptions): RetryOptions {
    const given = typeof retry === 'object' ? retry : { retries: retry };
    const onRetry = (error: unknown, attempt: number): void => {
      given.onRetry?.(error, attempt);
      this.retried(error, attempt);
    };
    return { ...given, onRetry };
  }

  /** A transaction is about to be run again. */
  protected abstract retried(error: unknown, attempt: number): void;

  /** The ambient transaction in pieces, for code that is no promise: Observables and generators. */
  openTransaction(options: TransactionalOptions = {}): OpenTransaction {
    return new OpenTransaction(this, this.ambient, this.transactionalOptions(options));
  }

  /** One unit of work for a job, a command or a consumer; see {@link Scope}. */
  async scope<T>(work: () => Promise<T>, options?: ScopeOptions): Promise<T> {
    expectFunction('engine.scope()', work);
    const scope = this.openScope(options);
    const lease = scope.lease();
    const unit = scope.openUnit();
    try {
      const result = await unit.run(work);
      await unit.complete();
      return result;
    } catch (error) {
      await unit.fail().catch((failure: unknown) => reportError(this.logger, failure));
      throw error;
    } finally {
      await lease.release();
    }
  }

  /** A scope in pieces, for code that sees a request begin and end in different places. */
  openScope(options: ScopeOptions = {}): Scope {
    const scope = new Scope(this, this.ambient, SCOPE_OPTIONS.parse(options), () =>
      this.scopes.remove(scope),
    );
    this.scopes.add(scope);
    return scope;
  }

  /** The scope of the caller, where there is one. */
  currentScope(): Scope | undefined {
    return this.ambient.current?.scope;
  }

  /**
   * The connection of the active transaction, or of the scope: asking for that one makes the scope one
   * transaction.
   *
   * @throws NoActiveScopeError outside of both.
   */
  currentConnection(): AsyncConnection {
    const connection = this.tryCurrentConnection();
    if (connection !== undefined) return connection;
    throw new NoActiveScopeError(
      'there is no active transaction or scope here. Use engine.transaction(), engine.scope(), or engine.connect().',
    );
  }

  /** The same as `currentConnection()`, and undefined where that throws. */
  tryCurrentConnection(): AsyncConnection | undefined {
    const frame = this.ambient.current;
    return frame?.active?.connection ?? frame?.scope?.connection;
  }

  /**
   * A handle that is, at each use, the connection of the scope that its user is in: for what is made before
   * its scope is there or outlives it. It refuses with `NoActiveScopeError` outside of scopes; `advice` ends
   * that message.
   */
  scopedConnection(advice = 'Use engine.scope().'): AsyncConnection {
    return new ScopedConnection(this, () => {
      const scope = this.currentScope();
      if (scope !== undefined) return scope.connection;
      throw new NoActiveScopeError(`the connection of a scope was used where there is no scope. ${advice}`);
    });
  }

  /**
   * Runs before the COMMIT of the active transaction and may veto it by throwing; without one it does
   * nothing.
   */
  beforeCommit(hook: TransactionHook): void {
    this.activeTransaction()?.beforeCommit(hook);
  }

  /** Runs once the active transaction is committed; without one it runs at once. */
  afterCommit(hook: TransactionHook): void {
    const active = this.activeTransaction();
    if (active !== undefined) return active.afterCommit(hook);
    void Promise.resolve()
      .then(hook)
      .catch((error: unknown) => reportError(this.logger, error));
  }

  /** Runs when the active transaction was rolled back; without one it does nothing. */
  afterRollback(hook: TransactionHook): void {
    this.activeTransaction()?.afterRollback(hook);
  }

  /** Runs after either end of the active transaction; without one it does nothing. */
  afterCompletion(hook: TransactionHook): void {
    this.activeTransaction()?.afterCompletion(hook);
  }

  /** @internal */
  transactionOn(connection: AsyncConnection): AsyncTransaction | undefined {
    return this.ambient.transactionOn(connection);
  }

  /** @internal */
  holding(): readonly PooledConnection[] {
    return this.ambient.holding();
  }

  /** @internal */
  outside<T>(work: () => T): T {
    return this.ambient.runWithoutTransaction(work);
  }

  /** The transaction in which statements of the caller run. Throws when it has ended. */
  protected activeTransaction(): AsyncTransaction | undefined {
    return this.ambient.current?.active;
  }
}
