import { parseExecutionOptions, transactionOptionsOf } from '../execution/execution-options.js';
import type { ExecutionOptions } from '../execution/execution-options.js';
import { isAutocommit } from '../transaction/isolation.js';
import type { TransactionOptions } from '../transaction/isolation.js';
import { mergeOptions } from '../util/merge-options.js';

/** The execution options of a connection, some of which may be known no earlier than its first statement. */
export class ConnectionOptions {
  /** True: a statement outside of transactions commits itself, whatever the options say. */
  autocommits = false;
  #options: ExecutionOptions;
  #late: (() => ExecutionOptions) | undefined;

  /** `late` is asked once, when the options are first needed. */
  constructor(options: ExecutionOptions, late: (() => ExecutionOptions) | undefined) {
    this.#options = options;
    this.#late = late;
  }

  /** Some of them are not known yet. */
  get isLate(): boolean {
    return this.#late !== undefined;
  }

  get current(): ExecutionOptions {
    if (this.#late !== undefined) {
      // Asked again by the next statement where it fails: nothing runs without what it says.
      const late = parseExecutionOptions(this.#late());
      this.#late = undefined;
      this.add(late);
    }
    return this.#options;
  }

  /** No BEGIN is sent: each statement commits itself. */
  get isAutocommit(): boolean {
    return this.autocommits || isAutocommit(this.current);
  }

  /** True: BEGIN says a level that the session itself does not have. */
  get hasOwnLevel(): boolean {
    return this.current.isolationLevel !== undefined && !this.isAutocommit;
  }

  /** What they say about BEGIN; undefined: nothing. */
  get ofBegin(): TransactionOptions | undefined {
    return transactionOptionsOf(this.current);
  }

  add(options: ExecutionOptions): void {
    this.#options = mergeOptions(this.#options, options);
  }
}
