import type { AsyncConnection, StatementEvent, TransactionEvent } from '../../../engine/index.js';
import { NestedScopeBusyError, UnsubscribedError } from '../../../engine/index.js';
import type { Finding, Findings } from './findings.js';
import type { Unit } from './unit.js';

type Transaction = TransactionEvent<AsyncConnection>;

/** Tags of statements that store something. */
const WRITES = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE', 'COPY']);

/** What is worth a look in how a transaction has ended. */
export class TransactionFindings {
  readonly #findings: Findings;
  readonly #written = new WeakSet<Transaction>();
  readonly #committing = new WeakSet<Transaction>();

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  answered({
    transactionEvent,
    command,
    rowCount,
  }: Pick<StatementEvent<AsyncConnection>, 'transactionEvent' | 'command' | 'rowCount'>): void {
    if (transactionEvent !== undefined && rowCount !== 0 && WRITES.has(command ?? ''))
      this.#written.add(rootOf(transactionEvent));
  }

  /** COMMIT is asked for. */
  committing(event: Transaction): void {
    this.#committing.add(event);
  }

  ended(unit: Unit, event: Transaction): void {
    if (event.nested || event.outcome !== 'rolled-back') return;
    if (this.#committing.has(event) && event.error !== undefined)
      this.#add(unit, event, swallowed(event.error));
    else if (event.reason instanceof UnsubscribedError && this.#written.has(event))
      this.#add(unit, event, UNDONE);
  }

  /** A statement has failed before it left. */
  refused(unit: Unit, event: StatementEvent<AsyncConnection>): void {
    if (event.error instanceof NestedScopeBusyError)
      this.#add(unit, event, {
        kind: 'nestedWait',
        title: 'gave up waiting for a nested transaction',
        advice: 'Do this work inside of the nested transaction, or after it.',
      });
  }

  #add(
    unit: Unit,
    { transaction }: { readonly transaction: string | undefined },
    { title, ...found }: Pick<Finding, 'kind' | 'title' | 'advice'>,
  ): void {
    this.#findings.add(unit, {
      ...found,
      key: unit.label,
      title: `${unit.label} ${title}`,
      site: transaction,
    });
  }
}

const UNDONE = {
  kind: 'unsubscribed',
  title: 'lost what it wrote: its Observable was unsubscribed before its end',
  advice: 'Let it complete, or put take() and first() upstream of the transaction.',
};

function swallowed(error: unknown): Pick<Finding, 'kind' | 'title' | 'advice'> {
  return {
    kind: 'swallowed',
    title: `went on after a failed statement (${error instanceof Error ? error.name : 'an error'}), and nothing of its transaction is stored`,
    advice: 'Let the error out, or run what may fail in a nested transaction of its own.',
  };
}

function rootOf(event: Transaction): Transaction {
  return event.parent === undefined ? event : rootOf(event.parent);
}
