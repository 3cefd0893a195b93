import { IllegalStateError } from '../errors/errors.js';
import { CompiledCache } from '../statement/compiled-cache.js';
import { quoteIdentifier } from '../statement/identifier.js';
import type { SchemaTranslateMap } from '../statement/sql-fragment.js';
import type { RetryOptions } from '../transaction/retry.js';
import { isolationLevelRule, transactionOptionRules, type IsolationLevel } from '../transaction/isolation.js';
import {
  asItIs,
  deadlineRule,
  durationRule,
  eitherRule,
  flagRule,
  integerRule,
  isPlainObject,
  LONGEST_TIMER,
  oneOf,
  signalRule,
  wordRule,
  type OptionRule,
} from '../util/option-rule.js';
import { OptionTable } from '../util/option-table.js';

/** How one statement runs. Times in ms. */
export interface StatementOptions {
  /**
   * The statement is cancelled after this time, counted from the call; its wait for a connection ends with
   * it. PGlite cancels only what has not begun.
   */
  readonly timeout?: number | undefined;
  /** Cancels the statement, or its wait for a connection, when it is aborted; a stream is closed. */
  readonly signal?: AbortSignal | undefined;
  /** False: the server keeps no named statement of it. Default true. */
  readonly prepare?: boolean | undefined;
  /** Rows per fetch of a stream, exactly. */
  readonly yieldPer?: number | undefined;
  /**
   * Rows per fetch of a stream at most. Default 1,000, and behind the first fetch as many as are about 40 KB
   * on the wire.
   */
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
  /**
   * True: it may not write (25006), and goes to a replica where the engine has any. Of statements outside of
   * transactions; inside one it runs where that is, and as that says. Default: as the engine or the scope.
   */
  readonly readOnly?: boolean | undefined;
  /**
   * `set_config(name, value, true)` of each, for this statement: sent together with it, and added by name to
   * those of its transaction, whose values come back with the next statement. Of an engine or a connection:
   * together with BEGIN. A stream takes them where its transaction is its own.
   */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /** True: rows are wanted over a cursor, so that `execute()` and its like refuse and point to `stream()`. */
  readonly streamResults?: boolean | undefined;
}

/** The options of one `execute()`. */
export interface ExecuteOptions extends StatementOptions {
  /**
   * Outside of transactions: how often the statement is run again when the server has refused it with 40001
   * or the like, as distributed servers do; by default never. See `isRetryable`.
   */
  readonly retry?: number | RetryOptions | undefined;
}

/** What an engine or a connection gives to each of its transactions and statements; the nearest wins. */
export interface ExecutionOptions extends StatementOptions {
  /**
   * Of each transaction. `AUTOCOMMIT`: none is begun, each statement commits itself. Default: the server's.
   */
  readonly isolationLevel?: IsolationLevel | undefined;
  /** With `SERIALIZABLE` and `readOnly`: waits for a snapshot that can't fail. */
  readonly deferrable?: boolean | undefined;
  /** True: listeners of `handleError` are not called. */
  readonly skipUserErrorEvents?: boolean | undefined;
}

/** Parameter sets of an executemany that travel under one Sync, where nothing else is said. */
export const DEFAULT_PAGE_SIZE = 1_000;

const OF_BEGIN = ['isolationLevel', 'readOnly', 'deferrable', 'settings'] as const;

/** The first of these options that is said in BEGIN. */
function optionOfBegin(options: ExecutionOptions): string | undefined {
  return OF_BEGIN.find((name) => options[name] !== undefined);
}

const CACHE: OptionRule = {
  expected: 'a CompiledCache, or null (none)',
  accepts: (value) => value === null || value instanceof CompiledCache,
  coerce: asItIs,
};

/** Schemas by the names that stand for them. */
const SCHEMAS: OptionRule = {
  expected: 'a plain object of schema names, such as { tenant: "red" }',
  accepts: isPlainObject,
  coerce: asItIs,
  parse: (schemas) => {
    for (const schema of Object.values(schemas as SchemaTranslateMap)) quoteIdentifier(schema);
    return schemas;
  },
};

/** The protocol counts the rows of a fetch in 31 bits. */
const ROWS = integerRule(1, 'an integer from 1 to 2147483647', 2_147_483_647);

/** What each option of one statement may be. */
const STATEMENT_RULES = {
  timeout: deadlineRule,
  signal: signalRule,
  prepare: flagRule,
  yieldPer: ROWS,
  maxRowBuffer: ROWS,
  noParameters: flagRule,
  loggingToken: eitherRule(wordRule, oneOf(null)),
  compiledCache: CACHE,
  schemaTranslateMap: SCHEMAS,
  insertmanyvaluesPageSize: integerRule(1, 'an integer of at least 1'),
  preserveRowcount: flagRule,
  readOnly: flagRule,
  settings: transactionOptionRules.settings,
  streamResults: flagRule,
} as const satisfies Readonly<Record<keyof StatementOptions, OptionRule>>;

const OF_A_TRANSACTION = 'Set it on the transaction.';

/** Options of transactions alone, by name, with what to do instead. */
const OF_TRANSACTIONS: Readonly<Record<string, string>> = {
  lockTimeout: OF_A_TRANSACTION,
  statementTimeout: "Set it on the transaction or the engine; a statement has 'timeout'.",
  propagation: OF_A_TRANSACTION,
  durable: OF_A_TRANSACTION,
  rollbackFor: OF_A_TRANSACTION,
  noRollbackFor: OF_A_TRANSACTION,
  retry: 'Set it on the transaction, or on one execute() outside of transactions.',
};

const WITH_BEGIN = 'Set it on the transaction, the connection or the engine.';

/** What each option of one statement may be: none that only a transaction can have. */
export const STATEMENT_OPTIONS = new OptionTable<StatementOptions>(
  'statement',
  STATEMENT_RULES,
  'taken',
  () => ({
    ...OF_TRANSACTIONS,
    isolationLevel: WITH_BEGIN,
    deferrable: WITH_BEGIN,
  }),
);

/** What each option of an engine's or a connection's statements may be. */
export const EXECUTION_OPTIONS = new OptionTable<ExecutionOptions>(
  'execution',
  {
    ...STATEMENT_RULES,
    isolationLevel: isolationLevelRule,
    deferrable: transactionOptionRules.deferrable,
    skipUserErrorEvents: flagRule,
  },
  'taken',
  () => OF_TRANSACTIONS,
);

/**
 * The options of an engine or a connection, as they are kept.
 *
 * @throws ArgumentError for a wrong one, IllegalStateError for one that comes too late for its BEGIN.
 */
export function parseExecutionOptions(options: ExecutionOptions, isInTransaction = false): ExecutionOptions {
  const parsed = EXECUTION_OPTIONS.parse(options);
  const late = isInTransaction ? optionOfBegin(parsed) : undefined;
  if (late === undefined) return parsed;
  throw new IllegalStateError(`${late} cannot change in a transaction. Commit or roll back first.`);
}

/** How `copyTo()` runs. Times in ms. */
export interface CopyToOptions extends StatementOptions {
  /** The COPY is canceled when nothing was read for so long. Default 60,000. */
  readonly readTimeout?: number | undefined;
}

/** What each option of `copyTo()` may be. */
export const COPY_TO_OPTIONS = new OptionTable<CopyToOptions>(
  'copyTo',
  { ...STATEMENT_RULES, readTimeout: durationRule(1, `milliseconds from 1 to ${LONGEST_TIMER}`) },
  'taken',
);
