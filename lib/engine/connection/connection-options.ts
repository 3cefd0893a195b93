import { IllegalStateError } from '../errors/errors.js';
import { parseExecutionOptions, type ExecutionOptions } from '../execution/execution-options.js';
import { isAutocommit, type TransactionOptions } from '../transaction/isolation.js';
import { SharedWait } from './shared-wait.js';
import { isThenable } from '../util/option-rule.js';
import { mergeOptions } from '../util/merge-options.js';

/** Options that are known no earlier than the first statement. */
export type LateOptions = () => ExecutionOptions | PromiseLike<ExecutionOptions>;

/** The execution options of a connection, some of which may be known no earlier than its first statement. */
export class ConnectionOptions {
  /** True: a statement outside of transactions commits itself, whatever the options say. */
  autocommits = false;
  /** Some of them are not known yet; changed here alone. */
  isLate: boolean;
  #options: ExecutionOptions;
  #late: LateOptions | undefined;
  /** The promise that `late` has given. */
  #settling: SharedWait | undefined;

  /** `late` is asked once, when the options are first needed. */
  constructor(options: ExecutionOptions, late: LateOptions | undefined) {
    this.#options = options;
    this.#late = late;
    this.isLate = late !== undefined;
  }

  /** Those that are known already, for what must not ask for the others. */
  get known(): ExecutionOptions {
    return this.#options;
  }

  /**
   * Asks for those that are not known yet; undefined where there is no promise to wait for. `signal` ends the
   * wait.
   */
  settle(signal?: AbortSignal): Promise<void> | undefined {
    if (this.#late === undefined) return undefined;
    if (this.#settling !== undefined) return this.#settling.join(signal);
    const given = this.#late();
    if (!isThenable(given)) {
      this.#know(given);
      return undefined;
    }
    this.#settling = new SharedWait(() => this.#await(given));
    return this.#settling.join(signal);
  }

  async #await(given: PromiseLike<ExecutionOptions>): Promise<void> {
    try {
      this.#know(await given);
    } finally {
      // Asked again by the next statement where it fails: nothing runs without what it says.
      this.#settling = undefined;
    }
  }

  #know(late: ExecutionOptions): void {
    const parsed = parseExecutionOptions(late);
    this.#late = undefined;
    this.isLate = false;
    this.add(parsed);
  }

  get current(): ExecutionOptions {
    if (!this.isLate) return this.#options;
    const waiting = this.settle();
    if (waiting === undefined) return this.#options;
    waiting.catch(() => undefined);
    throw new IllegalStateError(
      'the options of this connection come from a promise that is still pending. Await connection.start() or a statement ' +
        'before you stream on it or ask for its options.',
    );
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
    const { isolationLevel, readOnly, deferrable, settings } = this.isLate ? this.current : this.#options;
    if ((isolationLevel ?? readOnly ?? deferrable ?? settings) === undefined) return undefined;
    return { isolationLevel, readOnly, deferrable, settings };
  }

  add(options: ExecutionOptions): void {
    this.#options = mergeOptions(this.#options, options);
  }
}
