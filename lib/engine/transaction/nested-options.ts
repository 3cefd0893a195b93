import type { SettingAssignment, Control } from '../driver/driver.js';
import { IllegalStateError } from '../errors/errors.js';
import { settingsControl, settingsOf, type TransactionOptions } from './isolation.js';

/** The transaction that another one is to be part of. */
export interface TransactionParent {
  /** What holds in it. */
  readonly options: TransactionOptions;
  /** Where it was started. */
  readonly origin: string;
}

/** Refuses what a savepoint in `outer` can't have: what PostgreSQL settles for a transaction as a whole. */
export function checkNestedOptions(own: TransactionOptions, outer: TransactionParent): void {
  if ((own.isolationLevel ?? own.readOnly ?? own.deferrable) === undefined) return;
  const { isolationLevel, readOnly, deferrable } = outer.options;
  const level = serverLevel(isolationLevel);
  if (own.isolationLevel !== undefined) {
    const asked = own.isolationLevel;
    // Where the root left it to the server, the server is asked with the SAVEPOINT.
    if (level !== undefined && asked !== level) throw refusal('isolationLevel', asked, outer);
  }
  if (own.readOnly === false && readOnly === true) throw refusal('readOnly', false, outer);
  if (own.deferrable !== undefined && own.deferrable !== (deferrable ?? false))
    throw refusal('deferrable', own.deferrable, outer);
}

/**
 * Refuses what the work that joins `outer` relies on and would not have. Limits are no promise to it:
 * `readOnly: true` and time-outs are those of the transaction that it joins.
 */
export function checkJoiningOptions(
  own: TransactionOptions,
  outer: TransactionParent,
  session: Readonly<Record<string, string>>,
): void {
  checkNestedOptions(own, outer);
  if (own.isolationLevel !== undefined && serverLevel(outer.options.isolationLevel) === undefined)
    throw refusal('isolationLevel', own.isolationLevel, outer);
  if (own.settings === undefined) return;
  const held = new Map(Object.entries({ ...session, ...outer.options.settings }));
  for (const [name, value] of Object.entries(own.settings)) {
    if (held.get(name) !== value) throw refusal(`settings['${name}']`, value, outer);
  }
}

/**
 * What follows the SAVEPOINT in its flight: what the options ask for, and the outer values where they can be
 * found again.
 */
export function nestedControl(options: TransactionOptions, depth: number): Control[] {
  const modes: string[] = [];
  if (options.isolationLevel !== undefined) modes.push(`ISOLATION LEVEL ${options.isolationLevel}`);
  if (options.readOnly !== undefined) modes.push(options.readOnly ? 'READ ONLY' : 'READ WRITE');
  const control: Control[] =
    modes.length === 0 ? [] : [{ kind: 'modes', text: `SET TRANSACTION ${modes.join(', ')}` }];
  const kept = copies(options, (name) => [name, keptName(name, depth)]);
  if (kept !== undefined) control.push({ ...kept, assignments: [] });
  return [...control, ...settingsControl(options)];
}

/** Brings the outer values back, once the savepoint is released: its end leaves them as they are. */
export function restoringControl(
  options: TransactionOptions,
  depth: number,
  outer: TransactionOptions,
): Control | undefined {
  const restoring = copies(options, (name) => [keptName(name, depth), name]);
  if (restoring === undefined) return undefined;
  const known = new Map(settingsOf(outer));
  const assignments = settingsOf(options).map(([name]): SettingAssignment => [name, known.get(name)]);
  return { ...restoring, assignments };
}

/** Copies each setting of the options `from` one name `to` another. */
function copies(
  options: TransactionOptions,
  pair: (name: string) => [from: string, to: string],
): Control | undefined {
  const pairs = settingsOf(options).map(([name]) => pair(name));
  if (pairs.length === 0) return undefined;
  const calls = pairs.map(([from, to]) => copy(from, to));
  return { kind: 'settings', text: `SELECT ${calls.join(', ')}`, settings: pairs.map(([, to]) => to) };
}

// By depth, so that a session knows a handful of them however many savepoints it sees.
function keptName(name: string, depth: number): string {
  return `nae.outer${depth}.${name}`;
}

// The names are checked: they are made of letters, digits, dots, dollars and underscores.
function copy(from: string, to: string): string {
  return `set_config('${to}', current_setting('${from}', TRUE), TRUE)`;
}

function serverLevel(level: TransactionOptions['isolationLevel']): string | undefined {
  return level === 'AUTOCOMMIT' ? undefined : level;
}

function refusal(option: string, value: string | boolean, { origin }: TransactionParent): IllegalStateError {
  return new IllegalStateError(
    `${option}: ${String(value)} conflicts with the transaction started at ${origin}. ` +
      `Set it there, or use propagation: 'requires-new'.`,
  );
}
