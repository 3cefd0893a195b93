import { AfterCommitError } from '../errors/errors.js';

/** Runs at an end of a transaction; awaited. */
export type TransactionHook = () => unknown;

export type HookPhase = 'beforeCommit' | 'afterCommit' | 'afterRollback' | 'afterCompletion';

/** The hooks of one transaction, in the order in which they were registered. */
export class TransactionHooks {
  readonly #byPhase: Record<HookPhase, TransactionHook[]> = {
    beforeCommit: [],
    afterCommit: [],
    afterRollback: [],
    afterCompletion: [],
  };

  add(phase: HookPhase, hook: TransactionHook): void {
    this.#byPhase[phase].push(hook);
  }

  /** A released savepoint hands its hooks to its parent: what it wrote is not committed yet. */
  handTo(parent: TransactionHooks): void {
    for (const phase of Object.keys(this.#byPhase) as HookPhase[]) {
      for (const hook of this.#byPhase[phase].splice(0)) parent.add(phase, hook);
    }
  }

  /** May write and may veto; a hook that registers another one runs it too. */
  async beforeCommit(): Promise<void> {
    const hooks = this.#byPhase.beforeCommit;
    for (let hook = hooks.shift(); hook !== undefined; hook = hooks.shift()) await hook();
  }

  /** Runs all of them, then throws {@link AfterCommitError} for the first that failed. */
  async afterCommit(report: (error: unknown) => void): Promise<void> {
    this.#take('afterRollback');
    const failures = await runAll(this.#take('afterCommit'));
    await this.#complete(report);
    if (failures.length === 0) return;
    failures.slice(1).forEach(report);
    throw new AfterCommitError(
      `the data is committed, but ${failures.length} afterCommit hook(s) failed: ${String(failures[0])}. ` +
        `Do not repeat the transaction; repeat what the hook does.`,
      { cause: failures[0] },
    );
  }

  /** Failures are reported only: the error that rolled the transaction back wins. */
  async afterRollback(report: (error: unknown) => void): Promise<void> {
    this.#take('beforeCommit');
    this.#take('afterCommit');
    (await runAll(this.#take('afterRollback'))).forEach(report);
    await this.#complete(report);
  }

  /** Nobody knows how it ended: only what runs at either end does. */
  async afterUnknown(report: (error: unknown) => void): Promise<void> {
    for (const phase of ['beforeCommit', 'afterCommit', 'afterRollback'] as const) this.#take(phase);
    await this.#complete(report);
  }

  async #complete(report: (error: unknown) => void): Promise<void> {
    (await runAll(this.#take('afterCompletion'))).forEach(report);
  }

  #take(phase: HookPhase): TransactionHook[] {
    return this.#byPhase[phase].splice(0);
  }
}

async function runAll(hooks: readonly TransactionHook[]): Promise<unknown[]> {
  const failures: unknown[] = [];
  for (const hook of hooks) {
    try {
      await hook();
    } catch (error) {
      failures.push(error);
    }
  }
  return failures;
}
