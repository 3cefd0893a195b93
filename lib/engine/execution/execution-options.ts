import { ArgumentError, IllegalStateError } from '../errors/errors.js';
import type { CompiledCache } from '../statement/compiled-cache.js';
import type { SchemaTranslateMap } from '../statement/sql-fragment.js';
import { checkSettings, normalizeIsolationLevel } from '../transaction/isolation.js';
import type { IsolationLevel, TransactionOptions } from '../transaction/isolation.js';

/** How one statement runs. Times in ms. */
export interface StatementOptions {
  /**
   * The statement is cancelled after this time, counted from the call; its wait for a connection ends with
   * it. PGlite cancels only what has not begun.
   */
  readonly timeout?: number | undefined;
  /** Cancels the statement, or its wait for a connection, when it is aborted. */
  readonly signal?: AbortSignal | undefined;
  /** False: the server keeps no named statement of it. Default true. */
  readonly prepare?: boolean | undefined;
  /** Rows per fetch of a stream, exactly. */
  readonly yieldPer?: number | undefined;
  /** Rows per fetch of a stream at most. Default 1,000. */
  readonly maxRowBuffer?: number | undefined;
  /** True: a `text()` without values is sent as it was written, its colons untouched. */
  readonly noParameters?: boolean | undefined;
  /** Stands in brackets in front of each line of the log. */
  readonly loggingToken?: string | null | undefined;
  /** Where compiled statements are kept instead of in the engine's cache; null: nowhere. */
  readonly compiledCache?: CompiledCache | null | undefined;
  /**
   * Schema names to be replaced where `sql.id()` and the tables of a Kysely SELECT, INSERT, UPDATE or DELETE
   * name them. Any other Kysely query that names one is refused; all else stays as it was written.
   */
  readonly schemaTranslateMap?: SchemaTranslateMap | undefined;
  /** Parameter sets of an executemany that travel together. Default: the engine's, 1,000. */
  readonly insertmanyvaluesPageSize?: number | undefined;
  /** Taken for compatibility: the count of rows is always kept. */
  readonly preserveRowcount?: boolean | undefined;
  /** True: rows are wanted over a cursor, so that `execute()` and its like refuse and point to `stream()`. */
  readonly streamResults?: boolean | undefined;
}

/** What an engine or a connection gives to each of its transactions and statements; the nearest wins. */
export interface ExecutionOptions extends StatementOptions {
  /**
   * Of each transaction. `AUTOCOMMIT`: none is begun, each statement commits itself. Default: the server's.
   */
  readonly isolationLevel?: IsolationLevel | undefined;
  /** READ ONLY or READ WRITE of each transaction. Default: the server's. */
  readonly readOnly?: boolean | undefined;
  /** With `SERIALIZABLE` and `readOnly`: waits for a snapshot that can't fail. */
  readonly deferrable?: boolean | undefined;
  /** `set_config(name, value, true)` of each, sent together with BEGIN. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
}

/** What the options say about BEGIN; undefined: nothing. */
export function transactionOptionsOf(options: ExecutionOptions): TransactionOptions | undefined {
  if (optionOfBegin(options) === undefined) return undefined;
  const { isolationLevel, readOnly, deferrable, settings } = options;
  return { isolationLevel, readOnly, deferrable, settings };
}

/** Parameter sets of an executemany that travel under one Sync, where nothing else is said. */
export const DEFAULT_PAGE_SIZE = 1_000;

const OF_BEGIN = ['isolationLevel', 'readOnly', 'deferrable', 'settings'] as const;

/** The first of these options that is said in BEGIN. */
function optionOfBegin(options: ExecutionOptions): string | undefined {
  return OF_BEGIN.find((name) => options[name] !== undefined);
}

/**
 * Refuses, before any of them is kept, values that could only fail later, and what comes too late for a
 * BEGIN.
 */
export function checkExecutionOptions(options: ExecutionOptions, isInTransaction = false): void {
  if (options.isolationLevel !== undefined) normalizeIsolationLevel(options.isolationLevel);
  if (options.settings !== undefined) checkSettings(options.settings);
  checkPageSize(options);
  const late = isInTransaction ? optionOfBegin(options) : undefined;
  if (late === undefined) return;
  throw new IllegalStateError(`${late} cannot change in a transaction. Commit or roll back.`);
}

/** Refuses, for one statement, what only a transaction can have. */
export function checkStatementOptions(options: StatementOptions): void {
  checkPageSize(options);
  const misplaced = optionOfBegin(options);
  if (misplaced === undefined) return;
  throw new ArgumentError(
    `${misplaced} is no option of a statement. Give it to the transaction, the connection or the engine.`,
  );
}

function checkPageSize({ insertmanyvaluesPageSize: size }: StatementOptions): void {
  if (size === undefined || (Number.isSafeInteger(size) && size > 0)) return;
  throw new ArgumentError(`insertmanyvaluesPageSize is ${String(size)}: it takes an integer of at least 1.`);
}
