import { ArgumentError } from '../errors/errors.js';
import { describeKind } from '../util/describe-value.js';
import { isRecord } from '../util/option-rule.js';
import type { TransactionCommand } from './transaction-command.js';

/** Marks the statements of every copy of this package in the process. */
export const STATEMENT_BRAND = Symbol.for('nest-async-engine.statement');

/** A row of a statement whose row type was not given. */
export type Row = Record<string, unknown>;

/**
 * Values for the `:name` binds of one `text()`: an object of any type, one of an interface or a class too,
 * but no list, Map, Set or function. Extra keys are ignored.
 */
export type Parameters =
  | Readonly<Record<string, unknown>>
  | (object & { readonly [Symbol.iterator]?: never; readonly [Symbol.hasInstance]?: never });

/** A statement ready for a driver: `$1` placeholders, values by position. */
export interface CompiledStatement {
  readonly text: string;
  readonly values: readonly unknown[];
  /** What it would do to the transaction around it; undefined: nothing. */
  readonly control: TransactionCommand | undefined;
  /**
   * False: a text that is hardly ever the same again, of which the server keeps no named statement. Default
   * true.
   */
  readonly prepare?: boolean | undefined;
}

/**
 * Refuses what has no named values: a list, a Map, and a promise that was not awaited, whose statement would
 * run without them.
 */
export function expectNamed(parameters: unknown): void {
  if (isRecord(parameters)) return;
  throw new ArgumentError(
    `the parameters of a text() must be an object of named values; got ${describeKind(parameters)}. Write { name: value }.`,
  );
}
