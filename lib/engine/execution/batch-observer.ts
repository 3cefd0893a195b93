import { classifyFailure, type FailureClass } from './connection-observer.js';
import { DBAPIError } from '../errors/errors.js';
import type { BatchAnswer, CommandObserver, SessionFacts } from './invocation.js';
import type { ObservedTransaction } from '../transaction/transaction-observation.js';
import type { Command, CommandList, CommandResult, DriverRow } from '../driver/driver.js';

/** Tells the observer of each statement of a batch, as if it ran alone. */
export class BatchObserver implements CommandObserver {
  readonly #observers: readonly CommandObserver[];
  readonly onFetch = undefined;
  readonly isHeard = true;
  #texts: readonly string[] = [];

  constructor(observers: readonly CommandObserver[]) {
    this.#observers = observers;
  }

  get isInterrupted(): boolean {
    return this.#observers.some(({ isInterrupted }) => isInterrupted);
  }

  get failure(): FailureClass | undefined {
    return this.#observers.find(({ failure }) => failure !== undefined)?.failure;
  }

  traced<T>(work: () => Promise<T>): Promise<T> {
    return this.#observers.reduceRight((inner, observer) => () => observer.traced(inner), work)();
  }

  left(flight: number): void {
    for (const observer of this.#observers) observer.left(flight);
  }

  // Its statements are not sets of values.
  progressed(): void {}

  runsIn(transaction: ObservedTransaction): void {
    for (const observer of this.#observers) observer.runsIn(transaction);
  }

  /** The statement that has failed is told of it. */
  failed(error: unknown): FailureClass {
    const failed = this.#observers.findIndex((_, index) => this.#texts[index] === statementOf(error));
    const observer = this.#observers[Math.max(0, failed)];
    return classifyFailure(error, observer);
  }

  // A batch is not a stream.
  beginStream<T>(work: () => T): T {
    return work();
  }

  ended(): void {
    // See above.
  }

  async run<T>(
    commands: CommandList,
    send: (commands: CommandList) => Promise<T>,
    session: SessionFacts | undefined,
  ): Promise<T> {
    let answer: T | undefined;
    const ready: Command[] = [];
    this.#texts = Array.from(commands, ({ text }) => text);
    const runFrom = async (index: number): Promise<void> => {
      const observer = this.#observers[index];
      if (observer === undefined) {
        answer = await send(ready);
        return;
      }
      const sendNext = async (replaced: CommandList): Promise<CommandResult | undefined> => {
        ready.push(...replaced);
        await runFrom(index + 1);
        return resultsOf(answer as CommandResult)[index];
      };
      await observer.run(commands.slice(index, index + 1), sendNext, session);
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
      if (result !== undefined) observer.finished(result);
      return observer.onFetch;
    });
  }
}

function statementOf(error: unknown): string | undefined {
  return error instanceof DBAPIError ? error.statement : undefined;
}

/** The results of a batch, of one statement or of several. */
export function resultsOf(answer: BatchAnswer): readonly CommandResult[] {
  return answer.each ?? [answer];
}
