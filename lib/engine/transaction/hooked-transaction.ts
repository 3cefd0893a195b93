import { TransactionHooks } from './hooks.js';
import type { HookPhase, TransactionHook } from './hooks.js';
import type { TransactionHost } from './transaction-host.js';

/**
 * Why an end can only be a rollback. `isExpected`: the user asked for it, so that nothing is thrown for it.
 */
export interface RollbackReason {
  readonly cause: unknown;
  readonly isExpected: boolean;
}

/** The side of a transaction where others say what its end must be, and hang what comes with it. */
export abstract class HookedTransaction {
  protected readonly host: TransactionHost;
  #hooks: TransactionHooks | undefined;
  #rollbackReason: RollbackReason | undefined;

  constructor(host: TransactionHost) {
    this.host = host;
  }

  /** For an error that cannot be thrown without hiding another one. @internal */
  report(error: unknown): void {
    this.host.report(error);
  }

  /** @internal */
  get hasHooks(): boolean {
    return this.#hooks !== undefined;
  }

  /** Refuses a transaction that has ended. @internal */
  abstract expectUsable(): void;

  /** @internal */
  get rollbackReason(): RollbackReason | undefined {
    return this.#rollbackReason;
  }

  /** Makes the end of this transaction a rollback; nothing is thrown for it, since it was asked for. */
  setRollbackOnly(reason?: unknown): void {
    this.#rollbackReason ??= { cause: reason, isExpected: true };
  }

  /**
   * A method that took part in this transaction failed: it may not commit, and whoever tries is told.
   * @internal
   */
  condemn(cause: unknown): void {
    if (this.#rollbackReason?.isExpected !== false) this.#rollbackReason = { cause, isExpected: false };
  }

  /** Runs before COMMIT, may write, and vetoes by throwing. */
  beforeCommit(hook: TransactionHook): void {
    this.#register('beforeCommit', hook);
  }

  /** Runs once the data is committed, with no active transaction. */
  afterCommit(hook: TransactionHook): void {
    this.#register('afterCommit', hook);
  }

  /** Runs once the data is rolled back, with no active transaction. */
  afterRollback(hook: TransactionHook): void {
    this.#register('afterRollback', hook);
  }

  /** Runs at either end, after the other hooks; also when the outcome of COMMIT is unknown. */
  afterCompletion(hook: TransactionHook): void {
    this.#register('afterCompletion', hook);
  }

  #register(phase: HookPhase, hook: TransactionHook): void {
    this.expectUsable();
    this.#hooks ??= new TransactionHooks();
    this.#hooks.add(phase, hook);
  }

  protected handHooksTo(parent: HookedTransaction): void {
    if (this.#hooks === undefined) return;
    parent.#hooks ??= new TransactionHooks();
    this.#hooks.handTo(parent.#hooks);
  }

  protected async runBeforeCommit(): Promise<void> {
    await this.#hooks?.beforeCommit();
  }

  protected async runAfterCommit(): Promise<void> {
    await this.#outside((hooks, report) => hooks.afterCommit(report));
  }

  protected async runAfterRollback(): Promise<void> {
    await this.#outside((hooks, report) => hooks.afterRollback(report));
  }

  protected async runAfterUnknown(): Promise<void> {
    await this.#outside((hooks, report) => hooks.afterUnknown(report));
  }

  async #outside(
    run: (hooks: TransactionHooks, report: (error: unknown) => void) => Promise<void>,
  ): Promise<void> {
    const hooks = this.#hooks;
    if (hooks === undefined) return;
    await this.host.outside(() => run(hooks, (error) => this.host.report(error)));
  }
}
