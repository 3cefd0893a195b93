import type { OpenTransaction } from '../../engine/index.js';

type AnyGenerator = AsyncGenerator<unknown, unknown, unknown>;
type Step = IteratorResult<unknown, unknown>;

/**
 * An async generator whose every step runs in the transaction: begun by the first `next()`, committed before
 * `done`, rolled back by an error, by `return()` and by `throw()`.
 */
export class TransactionalGenerator implements AnyGenerator {
  readonly #open: OpenTransaction;
  readonly #source: AnyGenerator;
  #state: 'running' | 'ended' = 'running';

  constructor(open: OpenTransaction, source: AnyGenerator) {
    this.#open = open;
    this.#source = source;
  }

  async next(value?: unknown): Promise<Step> {
    const step = await this.#advance(() => this.#source.next(value));
    if (step.done === true) await this.#end(() => this.#open.commit());
    return step;
  }

  // Nobody can tell a consumer that has had enough from one that has failed.
  async return(value?: unknown): Promise<Step> {
    const step = await this.#advance(() => this.#source.return(value));
    await this.#end(() => this.#open.rollback(undefined));
    return step;
  }

  async throw(error: unknown): Promise<Step> {
    const step = await this.#advance(() => this.#source.throw(error));
    await this.#end(() => this.#open.rollback(error));
    return step;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async #advance(advance: () => Promise<Step>): Promise<Step> {
    try {
      return await this.#open.run(advance);
    } catch (error) {
      await this.#end(() => this.#open.fail(error));
      throw error;
    }
  }

  async #end(end: () => Promise<void>): Promise<void> {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    await end();
  }
}
