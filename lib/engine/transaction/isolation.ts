import type { Control } from '../driver/driver.js';
import { ArgumentError } from '../errors/errors.js';
import { MAX_NAME_BYTES } from '../statement/identifier.js';
import { CallSite } from '../util/call-site.js';
import { describeValue } from '../util/describe-value.js';
import { SETTING_OF_OPTION } from '../util/merge-options.js';
import {
  asItIs,
  deadlineRule,
  flagRule,
  isPlainObject,
  limitRule,
  type OptionRule,
} from '../util/option-rule.js';
import { OptionTable } from '../util/option-table.js';

const LEVELS: readonly IsolationLevel[] = [
  'READ UNCOMMITTED',
  'READ COMMITTED',
  'REPEATABLE READ',
  'SERIALIZABLE',
  'AUTOCOMMIT',
];

/**
 * `AUTOCOMMIT`, of an engine or a connection: no BEGIN is ever sent, each statement commits itself. `begin()`
 * and
 * `commit()` keep their meaning for the code around them and send nothing, so that VACUUM runs in a block; a
 * savepoint is refused. A stream has a transaction of its own, beside which no statement runs.
 */
export type IsolationLevel =
  'READ UNCOMMITTED' | 'READ COMMITTED' | 'REPEATABLE READ' | 'SERIALIZABLE' | 'AUTOCOMMIT';

/** How a transaction begins. Times in ms. */
export interface TransactionOptions {
  /** Not `AUTOCOMMIT`. Default: that of the connection, else the server's `default_transaction_isolation`. */
  readonly isolationLevel?: IsolationLevel | undefined;
  /** READ ONLY or READ WRITE. Default: the server's `default_transaction_read_only`. */
  readonly readOnly?: boolean | undefined;
  /** `primary`: it never goes to a replica. Default: with `readOnly: true` it does, where there are any. */
  readonly server?: 'primary' | undefined;
  /** With `SERIALIZABLE` and `readOnly`: waits for a snapshot that can't fail. */
  readonly deferrable?: boolean | undefined;
  /**
   * A deadline for the whole transaction: what runs is cancelled, all is rolled back,
   * `TransactionTimeoutError`.
   */
  readonly timeout?: number | undefined;
  /**
   * The server's `lock_timeout` in this transaction: how long a statement waits for a lock. 0: without end.
   */
  readonly lockTimeout?: number | undefined;
  /** The server's `statement_timeout` in this transaction. 0: none. */
  readonly statementTimeout?: number | undefined;
  /** `set_config(name, value, true)` of each, sent together with BEGIN: for row-level security. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /** Names the transaction in errors and warnings: a text of yours. Default: where it was started. */
  readonly label?: string | CallSite | undefined;
}

/** The level that a text names: any case, blanks or underscores; undefined where it names none. */
function levelOf(text: string): IsolationLevel | undefined {
  const name = text.trim().replaceAll('_', ' ').toUpperCase();
  return LEVELS.find((level) => level === name);
}

export const isolationLevelRule: OptionRule = {
  expected: `one of ${LEVELS.join(', ')}`,
  accepts: (value) => typeof value === 'string' && levelOf(value) !== undefined,
  coerce: asItIs,
  parse: (value) => levelOf(value as string),
};

/** The level of one transaction: AUTOCOMMIT would mean that there is none. */
const transactionLevelRule: OptionRule = {
  ...isolationLevelRule,
  expected: `one of ${LEVELS.filter((level) => level !== 'AUTOCOMMIT').join(', ')} (AUTOCOMMIT is for connections and engines)`,
  accepts: (value) => isolationLevelRule.accepts(value) && levelOf(value as string) !== 'AUTOCOMMIT',
};

/** The level that the server names, or that a text does. */
export function normalizeIsolationLevel(level: string): IsolationLevel {
  const known = levelOf(level);
  if (known !== undefined) return known;
  throw new ArgumentError(
    `isolationLevel must be ${isolationLevelRule.expected}; got ${describeValue(level)}.`,
  );
}

/** True: each statement commits itself. */
export function isAutocommit({ isolationLevel }: TransactionOptions): boolean {
  return isolationLevel === 'AUTOCOMMIT';
}

const SETTING_NAME = /^[a-z_][a-z0-9_$]*(\.[a-z_][a-z0-9_$]*)*$/i;

/** Settings whose values are names of objects, which the server cuts off without an error. */
const NAMING_SETTINGS: readonly string[] = [
  'application_name',
  'search_path',
  'role',
  'session_authorization',
];

/** Settings by name. A Map, a Promise or an instance of a class would count as no settings at all. */
export const settingsRule: OptionRule = {
  expected: 'a plain object of strings by the names of settings, such as { "app.tenant": "red" }',
  accepts: isPlainObject,
  coerce: asItIs,
  parse: (settings, beside) => {
    const given = Object.entries(settings as Readonly<Record<string, unknown>>);
    for (const [name, value] of given) checkSetting(name, value);
    expectSaidOnce(given, beside);
    if (given.every(([name]) => name === name.toLowerCase())) return settings;
    // PostgreSQL knows a name in any case: two spellings must not stand beside each other.
    return Object.fromEntries(given.map(([name, value]) => [name.toLowerCase(), value]));
  },
};

/** Where one object says the same twice, it is not known which was meant. */
function expectSaidOnce(
  settings: readonly [string, unknown][],
  beside: Readonly<Record<string, unknown>>,
): void {
  for (const [option, setting] of Object.entries(SETTING_OF_OPTION)) {
    if (beside[option] === undefined) continue;
    const twin = settings.find(([name]) => name.toLowerCase() === setting);
    if (twin === undefined) continue;
    throw new ArgumentError(
      `settings['${twin[0]}'] and the option '${option}' say the same. Write one of them.`,
    );
  }
}

function checkSetting(name: string, value: unknown): void {
  if (!SETTING_NAME.test(name)) {
    throw new ArgumentError(
      `settings: ${describeValue(name)} is not the name of a setting. Names look like app.tenant or lock_timeout.`,
    );
  }
  if (typeof value !== 'string') {
    throw new ArgumentError(`settings['${name}'] must be a string; got ${describeValue(value)}.`);
  }
  if (value.includes('\0')) throw new ArgumentError(`settings['${name}'] must not contain NUL.`);
  if (!NAMING_SETTINGS.includes(name.toLowerCase())) return;
  if (value.split(',').every((each) => Buffer.byteLength(each.trim().replaceAll('"', '')) <= MAX_NAME_BYTES))
    return;
  throw new ArgumentError(
    `settings['${name}'] has a name of more than ${MAX_NAME_BYTES} bytes, which the server would cut off. Shorten it.`,
  );
}

const labelRule: OptionRule = {
  expected: 'a string',
  accepts: (value) => typeof value === 'string' || value instanceof CallSite,
  coerce: asItIs,
};

const serverRule: OptionRule = {
  expected: "'primary' (leave it out for a replica)",
  accepts: (value) => value === 'primary',
  coerce: asItIs,
};

/** What each option of a transaction may be. */
export const transactionOptionRules = {
  isolationLevel: transactionLevelRule,
  readOnly: flagRule,
  server: serverRule,
  deferrable: flagRule,
  timeout: deadlineRule,
  lockTimeout: limitRule,
  statementTimeout: limitRule,
  settings: settingsRule,
  label: labelRule,
} as const satisfies Readonly<Record<keyof TransactionOptions, OptionRule>>;

const OF_A_STATEMENT = 'Set it on the statement, the connection or the engine.';

/** Options of statements, by name, with what to do instead. */
export const OF_STATEMENTS: Readonly<Record<string, string>> = {
  signal: "It ends one statement: set it there. For a whole transaction there is 'timeout'.",
  prepare: OF_A_STATEMENT,
  yieldPer: OF_A_STATEMENT,
  maxRowBuffer: OF_A_STATEMENT,
  noParameters: OF_A_STATEMENT,
  loggingToken: OF_A_STATEMENT,
  compiledCache: OF_A_STATEMENT,
  schemaTranslateMap: OF_A_STATEMENT,
  insertmanyvaluesPageSize: OF_A_STATEMENT,
  preserveRowcount: OF_A_STATEMENT,
  streamResults: OF_A_STATEMENT,
  skipUserErrorEvents: 'Set it on the connection or the engine.',
};

/** The options of a transaction are checked by it where they enter. */
export const TRANSACTION_OPTIONS = new OptionTable<TransactionOptions>(
  'transaction',
  transactionOptionRules,
  'taken',
  () => OF_STATEMENTS,
);

/** BEGIN with all that the options say, and the settings behind it, as one flight. */
export function beginControl(options: TransactionOptions, acknowledged: () => void): Control[] {
  const words = ['BEGIN'];
  const { isolationLevel: level } = options;
  if (level !== undefined && level !== 'AUTOCOMMIT') words.push('ISOLATION LEVEL', level);
  if (options.readOnly !== undefined) words.push(options.readOnly ? 'READ ONLY' : 'READ WRITE');
  if (options.deferrable !== undefined) words.push(options.deferrable ? 'DEFERRABLE' : 'NOT DEFERRABLE');
  const begin: Control = { kind: 'begin', text: words.join(' '), acknowledged };
  const hasSettings = options.settings ?? options.lockTimeout ?? options.statementTimeout;
  return hasSettings === undefined ? [begin] : [begin, ...settingsControl(options)];
}

/** The settings alone; in front of a statement under one Sync they last as long as that statement. */
export function settingsControl(options: TransactionOptions): Control[] {
  const settings = settingsOf(options);
  if (settings.length === 0) return [];
  const calls = settings.map((_, index) => `set_config($${2 * index + 1}, $${2 * index + 2}, TRUE)`);
  const names = settings.map(([name]) => name);
  const text = `SELECT ${calls.join(', ')}`;
  return [{ kind: 'settings', text, values: settings.flat(), settings: names, assignments: settings }];
}

/** What a statement that commits itself has in front of it: it lasts as long as that statement. */
export function autocommitControl(options: TransactionOptions): Control[] {
  const { readOnly, settings, lockTimeout, statementTimeout } = options;
  if (readOnly === undefined) return settingsControl(options);
  const access = { transaction_read_only: readOnly ? 'on' : 'off' };
  return settingsControl({ lockTimeout, statementTimeout, settings: { ...settings, ...access } });
}

/** All settings that the options ask for, by name. */
export function settingsOf(options: TransactionOptions): [string, string][] {
  const settings = Object.entries(options.settings ?? {});
  if (options.lockTimeout !== undefined) settings.push(['lock_timeout', String(options.lockTimeout)]);
  if (options.statementTimeout !== undefined)
    settings.push(['statement_timeout', String(options.statementTimeout)]);
  return settings;
}
