import { NestedTransaction, type AsyncTransaction, type TransactionOptions } from '../engine/index.js';
import type { CallSite } from '../engine/util/call-site.js';

/** What a client has begun. */
interface BegunTransaction {
  readonly transaction: AsyncTransaction;
  /** The name of its SAVEPOINT; undefined for BEGIN. */
  readonly savepoint: string | undefined;
}

/** The transactions that a client begins and ends by separate statements, the innermost last. */
export class ClientTransactions {
  readonly #around: () => AsyncTransaction | undefined;
  readonly #root: (options: TransactionOptions) => AsyncTransaction;
  readonly #label: CallSite;
  #levels: readonly BegunTransaction[] = [];

  /** `around`: the transaction that they are nested in; where there is none, `root` begins one. */
  constructor(
    label: CallSite,
    around: () => AsyncTransaction | undefined,
    root: (options: TransactionOptions) => AsyncTransaction,
  ) {
    this.#label = label;
    this.#around = around;
    this.#root = root;
  }

  /** Where statements run; undefined: in no transaction. */
  get innermost(): AsyncTransaction | undefined {
    return this.#levels.at(-1)?.transaction ?? this.#around();
  }

  get isEmpty(): boolean {
    return this.#levels.length === 0;
  }

  /** False: it has begun already. */
  begin(options: TransactionOptions): boolean {
    if (this.#beginning !== -1) return false;
    this.#enter(options);
    return true;
  }

  /** False: nothing was begun. */
  async end(way: 'commit' | 'rollback'): Promise<boolean> {
    const ended = this.#levels[this.#beginning];
    if (ended === undefined) return false;
    this.#levels = this.#levels.slice(0, this.#beginning);
    await ended.transaction[way]();
    return true;
  }

  savepoint(name: string): void {
    this.#enter({}, name);
  }

  /** False: there is no such savepoint, or a statement has failed, so that the server would refuse. */
  async release(name: string): Promise<boolean> {
    const index = this.#find(name);
    const { transaction } = this.#levels[index] ?? {};
    if (transaction === undefined || this.#levels.some((level) => !level.transaction.isValid)) return false;
    this.#levels = this.#levels.slice(0, index);
    await transaction.commit();
    return true;
  }

  /** Undoes what came after the savepoint, which stays. False: there is none of that name. */
  async rollbackTo(name: string): Promise<boolean> {
    const index = this.#find(name);
    const { transaction } = this.#levels[index] ?? {};
    if (transaction === undefined) return false;
    this.#levels = this.#levels.slice(0, index);
    await transaction.rollback();
    this.savepoint(name);
    return true;
  }

  /** What was begun and not ended is undone. */
  async close(): Promise<void> {
    const outermost = this.#levels[0];
    this.#levels = [];
    await outermost?.transaction.rollbackQuietly();
  }

  #enter(options: TransactionOptions, savepoint?: string): void {
    const parent = this.innermost;
    const labeled = { ...options, label: this.#label };
    // A BEGIN that is left open is undone when the transaction around it ends; a savepoint ends with what is
    // around it, and as that does.
    const isScoped = savepoint === undefined;
    const transaction =
      parent === undefined ? this.#root(labeled) : new NestedTransaction(parent, labeled, isScoped);
    this.#levels = [...this.#levels, { transaction, savepoint }];
  }

  /** Where BEGIN is in the levels; -1: nowhere. */
  get #beginning(): number {
    return this.#levels.findIndex(({ savepoint }) => savepoint === undefined);
  }

  #find(name: string): number {
    return this.#levels.findLastIndex(({ savepoint }) => savepoint === name);
  }
}
