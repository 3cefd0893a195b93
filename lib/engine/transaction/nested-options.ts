import type { Control } from '../driver/driver.js';
import { IllegalStateError } from '../errors/errors.js';
import { settingsControl, settingsOf } from './isolation.js';
import type { TransactionOptions } from './isolation.js';

/** The transaction that another one is to be part of. */
export interface Surroundings {
  /** What holds in it. */
  readonly options: TransactionOptions;
  /** Where it was begun. */
  readonly origin: string;
}

/** Refuses what a savepoint in `outer` can't have: what PostgreSQL settles for a transaction as a whole. */
export function checkNestedOptions(own: TransactionOptions, outer: Surroundings): void {
  const { isolationLevel, readOnly, deferrable } = outer.options;
  const level = serverLevel(isolationLevel);
  if (own.isolationLevel !== undefined) {
    const asked = own.isolationLevel;
    // Where the root left it to the server, the server is asked with the SAVEPOINT.
    if (asked === 'AUTOCOMMIT' || (level !== undefined && asked !== level))
      throw refusal('isolationLevel', asked, outer);
  }
  if (own.readOnly === false && readOnly === true) throw refusal('readOnly', false, outer);
  if (own.deferrable !== undefined && own.deferrable !== (deferrable ?? false))
    throw refusal('deferrable', own.deferrable, outer);
}

/**
 * Refuses what the work that joins `outer` relies on and would not have. Limits are no promise to it:
 * `readOnly: true` and time-outs are those of the transaction that it joins.
 */
export function checkJoiningOptions(own: TransactionOptions, outer: Surroundings): void {
  checkNestedOptions(own, outer);
  if (own.isolationLevel !== undefined && serverLevel(outer.options.isolationLevel) === undefined)
    throw refusal('isolationLevel', own.isolationLevel, outer);
  for (const [name, value] of Object.entries(own.settings ?? {})) {
    if (outer.options.settings?.[name] !== value) throw refusal(`settings['${name}']`, value, outer);
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
  const control: Control[] = modes.length === 0 ? [] : [{ text: `SET TRANSACTION ${modes.join(', ')}` }];
  const kept = settingsOf(options).map(([name]) => copy(name, keptName(name, depth)));
  if (kept.length > 0) control.push({ text: `SELECT ${kept.join(', ')}` });
  return [...control, ...settingsControl(options)];
}

/** Brings the outer values back, once the savepoint is released: its end leaves them as they are. */
export function restoringText(options: TransactionOptions, depth: number): string | undefined {
  const restored = settingsOf(options).map(([name]) => copy(keptName(name, depth), name));
  return restored.length === 0 ? undefined : `SELECT ${restored.join(', ')}`;
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

function refusal(option: string, value: string | boolean, { origin }: Surroundings): IllegalStateError {
  return new IllegalStateError(
    `${option} ${String(value)} can't hold inside the transaction begun at ${origin}, which has another. ` +
      `Give it to that one, or begin a transaction of its own: propagation 'requires-new'.`,
  );
}
