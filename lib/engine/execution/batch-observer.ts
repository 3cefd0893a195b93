import type { FailureClass } from './connection-observer.js';
import type { BatchAnswer, CommandObserver } from './invocation.js';
import type { Command, CommandResult, DriverRow } from '../driver/driver.js';

/** Tells the observer of each statement of a batch, as if it ran alone. */
export class BatchObserver implements CommandObserver {
  readonly #observers: readonly CommandObserver[];
  readonly onFetch = undefined;

  constructor(observers: readonly CommandObserver[]) {
    this.#observers = observers;
  }

  get isInterrupted(): boolean {
    return this.#observers.some(({ isInterrupted }) => isInterrupted);
  }

  get failure(): FailureClass | undefined {
    return this.#observers.find(({ failure }) => failure !== undefined)?.failure;
  }

  async run<T>(commands: readonly Command[], send: (commands: readonly Command[]) => Promise<T>): Promise<T> {
    let answer: T | undefined;
    const ready: Command[] = [];
    const runFrom = async (index: number): Promise<void> => {
      const observer = this.#observers[index];
      if (observer === undefined) {
        answer = await send(ready);
        return;
      }
      await observer.run(commands.slice(index, index + 1), async (replaced) => {
        ready.push(...replaced);
        await runFrom(index + 1);
        return resultsOf(answer as CommandResult)[index];
      });
    };
    await runFrom(0);
    return answer as T;
  }

  finished(): void {
    // Each statement is told of its own end: see `finishEach()`.
  }

  /** The statements have succeeded. Gives what is told of the rows of each. */
  finishEach(results: readonly CommandResult[]): readonly (((row: DriverRow) => void) | undefined)[] {
    return this.#observers.map((observer, index) => {
      const result = results[index];
      if (result !== undefined) observer.finished(result.rowCount, result.shape);
      return observer.onFetch;
    });
  }
}

/** The results of a batch, of one statement or of several. */
export function resultsOf(answer: BatchAnswer): readonly CommandResult[] {
  return answer.each ?? [answer];
}
