import { AfterCommitError, IllegalStateError } from '../errors/errors.js';
import { expectFunction } from '../util/argument.js';
import { nameAndReasonOf } from '../errors/thrown.js';

/** Runs at an end of a transaction; awaited. */
export type TransactionHook = () => unknown;

export type HookPhase = 'beforeCommit' | 'afterCommit' | 'afterRollback' | 'afterCompletion';

/** More of them are one for each row, or one that registers itself again. */
const MOST_HOOKS = 100_000;

/** What hooks need of their engine. */
interface HookEngine {
  runWithoutTransaction<T>(work: () => T): T;
  report(error: unknown): void;
}

interface HookOwner {
  readonly host: { readonly engine: HookEngine };
  hooks: TransactionHooks | undefined;
}

/** The hooks of one transaction, in the order in which they were registered. */
export class TransactionHooks {
  readonly #engine: HookEngine;
  readonly #byPhase: Record<HookPhase, TransactionHook[]> = {
    beforeCommit: [],
    afterCommit: [],
    afterRollback: [],
    afterCompletion: [],
  };
  /** Those that were registered, also when they have run. */
  #count = 0;

  constructor(engine: HookEngine) {
    this.#engine = engine;
  }

  /** @throws ArgumentError for what is not a function. IllegalStateError for one too many. */
  add(phase: HookPhase, hook: TransactionHook): void {
    if (typeof hook !== 'function') expectFunction(`${phase}()`, hook);
    if (this.#count >= MOST_HOOKS) {
      throw new IllegalStateError(
        `${phase}(): ${MOST_HOOKS} hooks were registered in this transaction. Collect what they do in one hook; ` +
          `does a beforeCommit hook register itself?`,
      );
    }
    this.#count++;
    this.#byPhase[phase].push(hook);
  }

  /** A released savepoint hands its hooks to its parent: what it wrote is not committed yet. */
  moveTo(parent: HookOwner): void {
    const hooks = (parent.hooks ??= new TransactionHooks(parent.host.engine));
    for (const phase of Object.keys(this.#byPhase) as HookPhase[]) {
      for (const hook of this.#take(phase)) hooks.#byPhase[phase].push(hook);
    }
    hooks.#count += this.#count;
  }

  /** They may write and may veto by throwing; one that registers another one runs it too. */
  async runBeforeCommit(): Promise<void> {
    const hooks = this.#byPhase.beforeCommit;
    for (let hook = hooks.shift(); hook !== undefined; hook = hooks.shift()) await hook();
  }

  /**
   * Runs all of them with no active transaction, then throws {@link AfterCommitError} for the first failure.
   */
  async runAfterCommit(): Promise<void> {
    this.#take('afterRollback');
    const failures = await this.#runAll('afterCommit');
    await this.#complete();
    if (failures.length === 0) return;
    failures.slice(1).forEach((failure) => this.#engine.report(failure));
    throw new AfterCommitError(
      `the data is committed, but ${failures.length} afterCommit hook(s) failed: ${nameAndReasonOf(failures[0])}. ` +
        `Do not repeat the transaction; repeat what the hook does.`,
      { cause: failures[0] },
    );
  }

  /** Failures are reported only: the error that rolled the transaction back wins. */
  async runAfterRollback(): Promise<void> {
    this.#take('beforeCommit');
    this.#take('afterCommit');
    (await this.#runAll('afterRollback')).forEach((failure) => this.#engine.report(failure));
    await this.#complete();
  }

  /** The outcome is unknown: only what runs at either end does. */
  async runAfterUnknown(): Promise<void> {
    for (const phase of ['beforeCommit', 'afterCommit', 'afterRollback'] as const) this.#take(phase);
    await this.#complete();
  }

  async #complete(): Promise<void> {
    (await this.#runAll('afterCompletion')).forEach((failure) => this.#engine.report(failure));
  }

  #take(phase: HookPhase): TransactionHook[] {
    return this.#byPhase[phase].splice(0);
  }

  /** In one context, whatever their number: to enter one costs more than most hooks. */
  async #runAll(phase: HookPhase): Promise<unknown[]> {
    const hooks = this.#take(phase);
    return hooks.length === 0 ? [] : await this.#engine.runWithoutTransaction(() => runEach(hooks));
  }
}

/** What those that failed have thrown. */
async function runEach(hooks: readonly TransactionHook[]): Promise<unknown[]> {
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
