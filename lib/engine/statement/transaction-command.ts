import { IllegalStateError } from '../errors/errors.js';

/** What a statement of transaction control does to a pair. */
export type TransactionWord = 'BEGIN' | 'COMMIT' | 'ROLLBACK';

const FORMS: readonly (readonly [RegExp, TransactionWord])[] = [
  [/^(?:BEGIN|BEGIN WORK|BEGIN TRANSACTION|START TRANSACTION)$/, 'BEGIN'],
  [/^(?:COMMIT|END)(?: WORK| TRANSACTION)?(?: AND NO CHAIN)?$/, 'COMMIT'],
  [/^(?:ROLLBACK|ABORT)(?: WORK| TRANSACTION)?(?: AND NO CHAIN)?$/, 'ROLLBACK'],
];

const CONTROL =
  /^(?:BEGIN|START TRANSACTION|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|PREPARE TRANSACTION)\b/;

/**
 * What a statement with these first words, in capitals, does to the transaction; undefined for what is no
 * transaction control.
 *
 * @throws IllegalStateError for control that can't be the begin or the end of a nested transaction.
 */
export function transactionWord(words: readonly string[]): TransactionWord | undefined {
  const head = words.join(' ');
  const form = FORMS.find(([pattern]) => pattern.test(head));
  if (form !== undefined) return form[1];
  if (!CONTROL.test(head)) return undefined;
  throw new IllegalStateError(
    `${head} would change the transaction behind the connection's back. Plain BEGIN, COMMIT and ROLLBACK are taken; ` +
      `for a savepoint use connection.beginNested(), for an isolation level connection.begin(options).`,
  );
}
