import type { CallSite } from '../util/call-site.js';
import type { Control } from '../driver/driver.js';
import { ArgumentError } from '../errors/errors.js';
import { durationRule, LONGEST_TIMER } from '../util/option-rule.js';

const LEVELS: readonly IsolationLevel[] = [
  'READ UNCOMMITTED',
  'READ COMMITTED',
  'REPEATABLE READ',
  'SERIALIZABLE',
  'AUTOCOMMIT',
];

/** `AUTOCOMMIT`: no BEGIN is ever sent, each statement commits itself. */
export type IsolationLevel =
  'READ UNCOMMITTED' | 'READ COMMITTED' | 'REPEATABLE READ' | 'SERIALIZABLE' | 'AUTOCOMMIT';

/** How a transaction begins. Times in ms. */
export interface TransactionOptions {
  /** Default: the server's `default_transaction_isolation`. */
  readonly isolationLevel?: IsolationLevel | undefined;
  /** READ ONLY or READ WRITE. Default: the server's `default_transaction_read_only`. */
  readonly readOnly?: boolean | undefined;
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
  /** Names the transaction in errors and warnings: a text of yours. Default: where it was begun. */
  readonly label?: string | CallSite | undefined;
}

/** Accepts any case and underscores: `read_committed` is `READ COMMITTED`. */
export function normalizeIsolationLevel(level: string): IsolationLevel {
  const name = level.replaceAll('_', ' ').toUpperCase();
  const known = LEVELS.find((candidate) => candidate === name);
  if (known !== undefined) return known;
  throw new ArgumentError(`isolationLevel is '${level}': it takes ${LEVELS.join(', ')}.`);
}

/** True: each statement commits itself. */
export function isAutocommit({ isolationLevel }: TransactionOptions): boolean {
  return isolationLevel !== undefined && normalizeIsolationLevel(isolationLevel) === 'AUTOCOMMIT';
}

const SETTING_NAME = /^[a-z_][a-z0-9_$]*(\.[a-z_][a-z0-9_$]*)*$/i;

/** Refuses a settings name that is no configuration parameter's. */
export function checkSettings(settings: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(settings)) {
    if (!SETTING_NAME.test(name)) {
      throw new ArgumentError(
        `settings: '${name}' is no name of a setting. Names look like app.tenant or lock_timeout.`,
      );
    }
    if (typeof value !== 'string') {
      throw new ArgumentError(`settings['${name}'] is ${typeof value}: it takes a string.`);
    }
  }
}

/** Checks the options once, when the transaction is made and before anything is sent. */
export function checkTransactionOptions(options: TransactionOptions): void {
  if (options.isolationLevel !== undefined) normalizeIsolationLevel(options.isolationLevel);
  if (options.settings !== undefined) checkSettings(options.settings);
  checkDuration('timeout', options.timeout);
  checkDuration('lockTimeout', options.lockTimeout);
  checkDuration('statementTimeout', options.statementTimeout);
}

const DURATION = durationRule(0, `milliseconds from 0 to ${LONGEST_TIMER}`);

function checkDuration(name: string, value: number | undefined): void {
  if (value === undefined || DURATION.accepts(value)) return;
  throw new ArgumentError(`${name} is ${String(value)}: it takes ${DURATION.takes}.`);
}

/** BEGIN with all that the options say, and the settings behind it, as one flight. */
export function beginControl(options: TransactionOptions, acknowledged: () => void): Control[] {
  const words = ['BEGIN'];
  const level =
    options.isolationLevel === undefined ? undefined : normalizeIsolationLevel(options.isolationLevel);
  if (level !== undefined && level !== 'AUTOCOMMIT') words.push('ISOLATION LEVEL', level);
  if (options.readOnly !== undefined) words.push(options.readOnly ? 'READ ONLY' : 'READ WRITE');
  if (options.deferrable !== undefined) words.push(options.deferrable ? 'DEFERRABLE' : 'NOT DEFERRABLE');
  const begin: Control = { text: words.join(' '), acknowledged };
  return [begin, ...settingsControl(options)];
}

/** The settings alone; in front of a statement under one Sync they last as long as that statement. */
export function settingsControl(options: TransactionOptions): Control[] {
  const settings = settingsOf(options);
  if (settings.length === 0) return [];
  const calls = settings.map((_, index) => `set_config($${2 * index + 1}, $${2 * index + 2}, TRUE)`);
  return [{ text: `SELECT ${calls.join(', ')}`, values: settings.flat() }];
}

/** All settings that the options ask for, by name. */
export function settingsOf(options: TransactionOptions): [string, string][] {
  const settings = Object.entries(options.settings ?? {});
  if (options.lockTimeout !== undefined) settings.push(['lock_timeout', String(options.lockTimeout)]);
  if (options.statementTimeout !== undefined)
    settings.push(['statement_timeout', String(options.statementTimeout)]);
  return settings;
}
