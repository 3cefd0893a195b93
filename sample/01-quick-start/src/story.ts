import type { AsyncEngine } from 'nest-async-engine';

/** One step of an order, and what became of it. */
export interface Step {
  readonly text: string;
  /** True: it was done inside a savepoint of its own. */
  readonly savepoint: boolean;
  end: 'open' | 'kept' | 'undone';
  /** The SQL that ended it. */
  by?: 'COMMIT' | 'ROLLBACK' | 'ROLLBACK TO SAVEPOINT';
  because?: string;
}

/**
 * Remembers what was tried, and learns from the transaction itself what was kept: a hook belongs to the transaction that is
 * active when it is registered, moves to the outer one with a released savepoint, and runs when its fate is known.
 */
export class Story {
  readonly steps: Step[] = [];

  constructor(private readonly engine: AsyncEngine) {}

  tell(text: string): void {
    const savepoint = this.engine.currentConnection().getNestedTransaction();
    const step: Step = { text, savepoint: savepoint !== undefined, end: 'open' };
    this.steps.push(step);
    this.engine.afterCommit(() => Object.assign(step, { end: 'kept', by: 'COMMIT' }));
    this.engine.afterRollback(() => {
      const alone = savepoint?.state === 'rolled-back';
      Object.assign(step, { end: 'undone', by: alone ? 'ROLLBACK TO SAVEPOINT' : 'ROLLBACK' });
    });
  }

  /** Why the last step did not work. */
  because(reason: string): void {
    const step = this.steps.at(-1);
    if (step !== undefined) step.because = reason;
  }
}
