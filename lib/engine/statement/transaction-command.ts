import { IllegalStateError } from '../errors/errors.js';
import { splitScript } from './split-script.js';

/** What a statement of transaction control does; `prepared`: it is part of a two-phase commit. */
export type TransactionCommandKind =
  'begin' | 'commit' | 'rollback' | 'rollback-to' | 'savepoint' | 'release' | 'prepared';

/** A statement of transaction control, as {@link transactionCommand} recognizes it. */
export interface TransactionCommand {
  readonly kind: TransactionCommandKind;
  /** Its first words in capitals, without comments: `ROLLBACK WORK AND CHAIN`. */
  readonly words: string;
  /** True where it says no more than its kind: no isolation level or access mode, no AND CHAIN. */
  readonly isPlain: boolean;
  /** True for COMMIT AND CHAIN and ROLLBACK AND CHAIN, which begin the next transaction. */
  readonly chains: boolean;
}

const FORMS: readonly (readonly [RegExp, TransactionCommandKind])[] = [
  [/^(?:PREPARE TRANSACTION|COMMIT PREPARED|ROLLBACK PREPARED)\b/, 'prepared'],
  [/^(?:BEGIN|START TRANSACTION)\b/, 'begin'],
  [/^(?:COMMIT|END)\b/, 'commit'],
  [/^(?:ROLLBACK|ABORT)(?: WORK| TRANSACTION)? TO\b/, 'rollback-to'],
  [/^(?:ROLLBACK|ABORT)\b/, 'rollback'],
  [/^SAVEPOINT\b/, 'savepoint'],
  [/^RELEASE\b/, 'release'],
];

const PLAIN =
  /^(?:START TRANSACTION|(?:BEGIN|COMMIT|END|ROLLBACK|ABORT)(?: WORK| TRANSACTION)?(?: AND NO CHAIN)?)$/;

/**
 * What a text may begin with that is, or hides, transaction control: a comment, a semicolon or one of these
 * words.
 */
const CANDIDATE = /^[\s;]*(?:--|\/\*|BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|PREPARE)/i;

/**
 * What a statement does to the transaction around it: undefined where its first words are not transaction
 * control. Comments in front of it are looked through. Of a text with several statements only the first
 * counts.
 */
export function transactionCommand(sql: string): TransactionCommand | undefined {
  return CANDIDATE.test(sql) ? transactionCommandOf(splitScript(sql)[0]?.words ?? []) : undefined;
}

/** The same for a statement whose first words, in capitals, are known. */
export function transactionCommandOf(firstWords: readonly string[]): TransactionCommand | undefined {
  const words = firstWords.join(' ');
  const kind = FORMS.find(([pattern]) => pattern.test(words))?.[1];
  if (kind === undefined) return undefined;
  return { kind, words, isPlain: PLAIN.test(words), chains: / AND CHAIN\b/.test(words) };
}

/** What a text that is, or hides, BEGIN, START, COMMIT, END, ROLLBACK, ABORT or PREPARE can begin with. */
const FIRST_CHARACTERS = /[\s;\-/bceraps]/i;

/**
 * The command of a statement that would begin or end a transaction behind the back of its connection.
 * Undefined for others: savepoints, and COMMIT PREPARED, leave the transaction as it is.
 */
export function transactionChange(sql: string): TransactionCommand | undefined {
  // Most statements are SELECT, INSERT, UPDATE and DELETE: a look at one or two characters is enough for
  // them.
  const first = sql[0];
  if (first === undefined || !FIRST_CHARACTERS.test(first) || /^s[^t]/i.test(sql)) return undefined;
  const command = transactionCommand(sql);
  if (command === undefined || !CHANGES.includes(command.kind)) return undefined;
  if (command.kind === 'prepared' && !command.words.startsWith('PREPARE TRANSACTION')) return undefined;
  return command;
}

/** The refusal of such a statement, before it is sent. */
export function controlRefused(command: TransactionCommand): IllegalStateError {
  return new IllegalStateError(
    `${command.words} would change the transaction without the connection knowing. Use begin(), commit() and ` +
      `rollback() of the connection or the transaction, or engine.transaction().`,
  );
}

/** The refusal of BEGIN where each statement commits itself: a ROLLBACK behind it would undo nothing. */
export function beginRefused(command: TransactionCommand): IllegalStateError {
  return new IllegalStateError(
    `${command.words} would begin nothing: with AUTOCOMMIT each statement of this connection commits itself. ` +
      `Use begin({ isolationLevel: 'READ COMMITTED' }), or another connection.`,
  );
}

const CHANGES: readonly TransactionCommandKind[] = ['begin', 'commit', 'rollback', 'prepared'];
