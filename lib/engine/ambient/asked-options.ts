import type { LateOptions } from '../connection/connection-options.js';
import { parseExecutionOptions, type ExecutionOptions } from '../execution/execution-options.js';
import { isThenable } from '../util/option-rule.js';

/** The option `connection` of a scope, which may be a function that is asked once. */
export class AskedOptions {
  readonly #given: ExecutionOptions | LateOptions | undefined;
  /** What the function has given, while that is known or awaited. */
  #asked: ExecutionOptions | Promise<ExecutionOptions> | undefined;

  constructor(given: ExecutionOptions | LateOptions | undefined) {
    this.#given = given;
  }

  get isGiven(): boolean {
    return this.#given !== undefined;
  }

  /** Those that are known without a question. */
  get known(): ExecutionOptions {
    return typeof this.#given === 'function' ? {} : (this.#given ?? {});
  }

  /** Gives the others. */
  get late(): LateOptions | undefined {
    const given = this.#given;
    return typeof given === 'function' ? () => this.#asked ?? given() : undefined;
  }

  /** Whether statements outside of transactions may not write; a promise while that is awaited. */
  get readOnly(): boolean | Promise<boolean | undefined> | undefined {
    // What it asks the database for its own answer must not wait for that answer.
    if (this.#given === undefined || isThenable(this.#asked)) return undefined;
    const asked = this.#ask(this.#given);
    return isThenable(asked) ? asked.then(({ readOnly }) => readOnly) : asked.readOnly;
  }

  /** Once, unless it fails. */
  #ask(given: ExecutionOptions | LateOptions): ExecutionOptions | Promise<ExecutionOptions> {
    if (typeof given !== 'function') return given;
    if (this.#asked !== undefined) return this.#asked;
    const asked = given();
    if (!isThenable(asked)) return (this.#asked = parseExecutionOptions(asked));
    const pending = Promise.resolve(asked).then((options) => parseExecutionOptions(options));
    const know = (options?: ExecutionOptions): void => {
      this.#asked = options;
    };
    this.#asked = pending;
    pending.then(know, () => know());
    return pending;
  }
}
