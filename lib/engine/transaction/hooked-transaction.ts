import { TransactionHooks } from './hooks.js';
import type { HookPhase, TransactionHook } from './hooks.js';
import type { TransactionHost } from './transaction-host.js';

/** The side of a transaction that others hang their hooks on. */
export abstract class HookedTransaction {
  protected readonly host: TransactionHost;
  #hooks: TransactionHooks | undefined;

  constructor(host: TransactionHost) {
    this.host = host;
  }

  /** Refuses a transaction that has ended. */
  abstract expectUsable(): void;

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
