import { context, createContextKey, trace, type Context, type Span } from '@opentelemetry/api';
import type { AsyncConnection, TransactionEvent } from '../engine/index.js';

type Transaction = TransactionEvent<AsyncConnection>;

const INNERMOST = createContextKey('nest-async-engine: the transaction that the work is in');

/** The spans of transactions that have not ended, and which span is the parent of what happens in them. */
export class TransactionContexts {
  // Not those that are open alone: a retry links to a span that has ended.
  readonly #spans = new WeakMap<Transaction, Span>();

  set(transaction: Transaction, span: Span): void {
    this.#spans.set(transaction, span);
  }

  spanOf(transaction: Transaction | undefined): Span | undefined {
    return transaction && this.#spans.get(transaction);
  }

  /** Where work in `transaction` runs. */
  inside(transaction: Transaction, span: Span, around: Context): Context {
    return trace.setSpan(around, span).setValue(INNERMOST, transaction);
  }

  /**
   * The parent of what happens in `transaction`: the caller's span where that was begun in it; else, as with
   * a transaction that was given no work, its own.
   */
  parentIn(transaction: Transaction | undefined, caller: Context = context.active()): Context {
    const span = this.spanOf(transaction);
    if (span === undefined || isWithin(transaction, caller.getValue(INNERMOST))) return caller;
    return trace.setSpan(caller, span);
  }
}

/** True: `inner` is `transaction` or a savepoint in it. */
function isWithin(transaction: Transaction | undefined, inner: unknown): boolean {
  for (let each = inner as Transaction | undefined; each !== undefined; each = each.parent)
    if (each === transaction) return true;
  return false;
}
