import { CallSite } from '../util/call-site.js';
import { AsyncConnection, type AsyncTransaction } from '../connection/connection.js';
import type { ConnectionHost } from '../connection/connection-host.js';
import { NoActiveScopeError } from '../errors/errors.js';
import type { AmbientContext } from './async-context.js';
import type { OpenScopes } from './open-scopes.js';
import { OpenTransaction, type TransactionalOptions } from './open-transaction.js';
import { mergeOptions } from '../util/merge-options.js';
import { withRetry, type RetryOptions } from '../transaction/retry.js';
import { Scope } from './scope.js';
import { SCOPE_OPTIONS, type ScopeOptions } from './scope-options.js';
import { TRANSACTIONAL_OPTIONS } from './transactional-options.js';
import { expectArgument, expectFunction } from '../util/argument.js';
import { asItIs, wordRule, type OptionRule } from '../util/option-rule.js';
import type { HookPhase, TransactionHook } from '../transaction/hooks.js';

// This library's own frames, and enough to get past a dependency that calls it.
const FRAMES_OF_CALLER = 4;

const NO_OPTIONS: TransactionalOptions = {};

const openRule: OptionRule = {
  expected: 'a transaction of engine.openTransaction()',
  accepts: (value) => value instanceof OpenTransaction,
  coerce: asItIs,
};

/** What the ambient half of an engine is made of. */
interface AmbientParts {
  readonly host: ConnectionHost<AsyncConnection>;
  readonly context: AmbientContext;
  readonly scopes: OpenScopes;
  /** The engine's own options for its transactions. */
  readonly defaults: TransactionalOptions | undefined;
  /** A transaction is about to be run again. */
  retried(error: unknown, attempt: number): void;
}

/**
 * The ambient half of an engine: transactions and scopes that the code inside them does not have to be
 * handed. What its methods do is said of those of `AsyncEngine`.
 */
export class Ambient {
  readonly #parts: AmbientParts;

  constructor(parts: AmbientParts) {
    this.#parts = parts;
  }

  /** Where its connections come from. */
  get host(): ConnectionHost<AsyncConnection> {
    return this.#parts.host;
  }

  /** What is open around a caller. */
  get context(): AmbientContext {
    return this.#parts.context;
  }

  /** What a shutdown waits for. */
  get openScopes(): OpenScopes {
    return this.#parts.scopes;
  }

  transaction<T>(work: () => Promise<T> | T, options?: TransactionalOptions): Promise<T> {
    try {
      if (typeof work !== 'function') expectFunction('engine.transaction()', work);
      const isPlain = options === undefined && this.#parts.defaults === undefined;
      const given = options === undefined ? NO_OPTIONS : options;
      const parsed = isPlain ? NO_OPTIONS : this.transactionalOptions(given);
      // Taken here, where the stack is short: deeper down it would be the most expensive step.
      const { label = new CallSite(FRAMES_OF_CALLER) } = parsed;
      const open = new OpenTransaction(this.#parts.host, this.#parts.context, { ...parsed, label });
      if (open.options.retry === undefined) return open.complete(work);
      return this.completeTransaction(open, work, work);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  completeTransaction<T>(
    first: OpenTransaction,
    result: () => Promise<T> | T,
    work: () => Promise<T> | T,
  ): Promise<T> {
    try {
      expectArgument('engine.completeTransaction()', openRule, first);
      for (const each of [result, work]) expectFunction('engine.completeTransaction()', each);
    } catch (error) {
      return Promise.reject(error);
    }
    const { retry } = first.options;
    return retry === undefined ? first.complete(result) : this.#completeWithRetry(first, retry, result, work);
  }

  async #completeWithRetry<T>(
    first: OpenTransaction,
    retry: number | RetryOptions,
    result: () => Promise<T> | T,
    work: () => Promise<T> | T,
  ): Promise<T> {
    let open = first;
    let run = (): Promise<T> => first.complete(result);
    const again = (): Promise<T> => {
      const failed = open;
      open = new OpenTransaction(this.#parts.host, this.#parts.context, first.options);
      open.repeats(failed);
      // Awaited inside: a lazy thenable, such as a query builder, runs then.
      return open.complete(async () => await work());
    };
    const attempt = async (): Promise<T> => {
      const now = run;
      run = again;
      return await now();
    };
    return await withRetry(attempt, retry, () => open.isRoot);
  }

  transactionalOptions(options: TransactionalOptions): TransactionalOptions {
    const merged = this.#mergedOptions(TRANSACTIONAL_OPTIONS.parse(options));
    return merged.retry === undefined ? merged : { ...merged, retry: this.#announced(merged.retry) };
  }

  #mergedOptions(options: TransactionalOptions): TransactionalOptions {
    const { defaults, context } = this.#parts;
    if (defaults === undefined) return options;
    const merged = mergeOptions(defaults, options);
    if (merged.propagation === 'requires-new' || context.current?.isInside !== true) return merged;
    const { propagation, retry, rollbackFor, noRollbackFor } = merged;
    return { ...options, propagation, retry, rollbackFor, noRollbackFor };
  }

  /** The same, and each retry is told of. */
  #announced(retry: number | RetryOptions): RetryOptions {
    const given = typeof retry === 'object' ? retry : { retries: retry };
    const onRetry = (error: unknown, attempt: number): void => {
      given.onRetry?.(error, attempt);
      this.#parts.retried(error, attempt);
    };
    return { ...given, onRetry };
  }

  openTransaction(options: TransactionalOptions = {}): OpenTransaction {
    return new OpenTransaction(this.#parts.host, this.#parts.context, this.transactionalOptions(options));
  }

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
      await unit.fail().catch((failure: unknown) => this.#parts.host.report(failure));
      throw error;
    } finally {
      await lease.release();
    }
  }

  openScope(options: ScopeOptions = {}): Scope {
    const { host, context, scopes } = this.#parts;
    context.current?.expectRoom();
    const scope = new Scope(host, context, SCOPE_OPTIONS.parse(options), () => scopes.remove(scope));
    scopes.add(scope);
    return scope;
  }

  /** Warns of a mistake in the code named by `label`, the first time that it is met. */
  warnOnce(label: string, message: string): void {
    this.#parts.context.warnings.once(this.#parts.host.logger, label, message);
  }

  runDetached<T>(work: () => T): T {
    return this.#parts.context.runDetached(work);
  }

  currentScope(): Scope | undefined {
    return this.#parts.context.current?.scope;
  }

  currentConnection(): AsyncConnection {
    const connection = this.tryCurrentConnection();
    if (connection !== undefined) return connection;
    throw new NoActiveScopeError(
      'there is no active transaction or scope here. Use engine.transaction(), engine.scope(), or engine.connect().',
    );
  }

  tryCurrentConnection(): AsyncConnection | undefined {
    const frame = this.#parts.context.current;
    return frame?.active?.connection ?? frame?.scope?.connection;
  }

  scopedConnection(advice = 'Use engine.scope().'): AsyncConnection {
    expectArgument('engine.scopedConnection()', wordRule, advice);
    return new AsyncConnection(undefined, () => {
      const connection = this.#parts.context.current?.connection;
      if (connection !== undefined) return connection.core;
      throw new NoActiveScopeError(`the connection of a scope was used where there is no scope. ${advice}`);
    });
  }

  /** Without an active transaction, `afterCommit` runs at once, and the others never. */
  addHook(phase: HookPhase, hook: TransactionHook): void {
    expectFunction(`${phase}()`, hook);
    const active = this.activeTransaction();
    if (active !== undefined) return active[phase](hook);
    if (phase !== 'afterCommit') return;
    void Promise.resolve()
      .then(hook)
      .catch((error: unknown) => this.#parts.host.report(error));
  }

  activeTransaction(): AsyncTransaction | undefined {
    return this.#parts.context.current?.active;
  }
}
