import type { AsyncEngine } from 'nest-async-engine/engine';
import { randomTurns } from '../items.js';

/** The hooks that ran, by name and in order. */
export class HookJournal {
  readonly ran: string[] = [];

  /** A hook that takes its time and leaves its name. */
  readonly note = (name: string) => async (): Promise<void> => {
    await randomTurns(() => 0.99);
    this.ran.push(name);
  };

  /** One hook of each phase on the active transaction, registered in another order than that in which they run. */
  registerAll(engine: AsyncEngine, prefix = ''): void {
    engine.afterCompletion(this.note(`${prefix}afterCompletion`));
    engine.afterRollback(this.note(`${prefix}afterRollback`));
    engine.afterCommit(this.note(`${prefix}afterCommit`));
    engine.beforeCommit(this.note(`${prefix}beforeCommit`));
  }
}
