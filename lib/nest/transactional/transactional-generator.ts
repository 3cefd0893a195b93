import type { OpenTransaction } from '../../engine/index.js';

export type AnyAsyncGenerator = AsyncGenerator<unknown, unknown, unknown>;
type Step = IteratorResult<unknown, unknown>;

/**
 * An async generator whose every step runs in a transaction: begun by the first `next()`, committed before
 * `done`, rolled back by an error, by `return()` and `throw()`. One that is never read begins none. When the
 * transaction's time has passed, a step is rejected as soon as all is undone, whatever it waits for.
 */
export class TransactionalGenerator implements AnyAsyncGenerator {
  readonly #begin: () => OpenTransaction;
  readonly #source: AnyAsyncGenerator;
  #open: OpenTransaction | undefined;
  #state: 'waiting' | 'running' | 'ended' = 'waiting';

  constructor(begin: () => OpenTransaction, source: AnyAsyncGenerator) {
    this.#begin = begin;
    this.#source = source;
  }

  async next(value?: unknown): Promise<Step> {
    if (this.#state === 'waiting') await this.#start();
    const step = await this.#advance(() => this.#inTime(() => this.#source.next(value)));
    if (step.done === true) await this.#end((open) => open.commit());
    return step;
  }

  // A consumer that has had enough looks the same as one that has failed.
  async return(value?: unknown): Promise<Step> {
    const step = await this.#advance(() => this.#source.return(value));
    await this.#end((open) => open.rollback(undefined));
    return step;
  }

  async throw(error: unknown): Promise<Step> {
    const step = await this.#advance(() => this.#source.throw(error));
    await this.#end((open) => open.rollback(error));
    return step;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** Begins at once: of two calls of `next()` in a row, the second runs in the transaction of the first. */
  #start(): Promise<unknown> | undefined {
    try {
      this.#open = this.#begin();
      this.#state = 'running';
      return undefined;
    } catch (error) {
      this.#state = 'ended';
      // Its body must not run outside of the transaction that was refused.
      return this.#source.return(undefined).then(() => Promise.reject(error as Error));
    }
  }

  async #advance(advance: () => Promise<Step>): Promise<Step> {
    try {
      return await (this.#open === undefined ? advance() : this.#open.run(advance));
    } catch (error) {
      await this.#end((open) => open.fail(error));
      throw error;
    }
  }

  #inTime(step: () => Promise<Step>): Promise<Step> {
    const transaction = this.#open?.transaction;
    if (transaction?.deadline === undefined || this.#state === 'ended') return step();
    return transaction.untilDeadline(step).catch((error: unknown) => {
      // Its `finally` runs where it goes on after all.
      if (transaction.deadline?.aborted === true) void this.#source.return(undefined).catch(() => undefined);
      throw error;
    });
  }

  async #end(end: (open: OpenTransaction) => Promise<void>): Promise<void> {
    const wasRunning = this.#state === 'running';
    this.#state = 'ended';
    if (wasRunning && this.#open !== undefined) await end(this.#open);
  }
}
