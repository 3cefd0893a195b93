import { prepareValue } from 'pg/lib/utils.js';
import { ArgumentError, StatementError } from '../../../errors/errors.js';
import type { InsertMany } from '../../../statement/insert-many.js';
import type { Command } from '../../driver.js';
import type { WireValue } from '../wire/message-writer.js';
import type { RowLayout } from '../wire/row-builder.js';

/** Bind counts its values in 16 bits. */
const MAX_VALUES = 65_535;

/** Makes the text of a value that is sent as JSON. */
export type JsonSerializer = (value: unknown) => string;

/**
 * A command, a control statement in front of one, or one more fetch from a portal that an earlier batch
 * opened.
 */
export interface WireCommand extends Command {
  readonly acknowledged?: (() => void) | undefined;
  /** A named portal and how many rows to take from it; without it, all rows through the unnamed one. */
  readonly portal?: { readonly name: string; readonly rows: number } | undefined;
  /** Set for a fetch from a portal that is bound already. */
  readonly bound?: RowLayout | undefined;
  /** What the server gets instead of `text`, which is what errors name. */
  readonly sql?: string | undefined;
  /** The values as they were given, for errors, where `values` are others. */
  readonly parameters?: readonly unknown[] | undefined;
  /** Asks the server for the types of the binds, and keeps with the statement how it inserts many rows. */
  readonly insert?: InsertMany | undefined;
}

/** A command whose values are ready for the wire. */
export interface Step extends WireCommand {
  readonly values: readonly WireValue[];
  /** The values as they were given, for errors. */
  readonly parameters: readonly unknown[];
  readonly prepare: boolean;
}

/** What the server gets of a command. */
export function sqlOf({ sql, text }: WireCommand): string {
  return sql ?? text;
}

const NO_VALUES: readonly WireValue[] = [];

/** Encodes the values before anything is written, so that one that fails leaves no half batch on the wire. */
export function toStep(command: WireCommand, serializeJson?: JsonSerializer): Step {
  const given = command.values ?? NO_VALUES;
  const values = given.length === 0 ? NO_VALUES : encode(command.text, given, serializeJson);
  // Written out: all steps have one hidden class, and a copy by spreading is slow.
  return {
    text: command.text,
    values,
    parameters: command.parameters ?? given,
    prepare: command.prepare ?? true,
    simple: command.simple,
    acknowledged: command.acknowledged,
    portal: command.portal,
    bound: command.bound,
    sql: command.sql,
    insert: command.insert,
  };
}

/**
 * @throws StatementError for a value that has no text, ArgumentError for more values than the protocol takes.
 */
export function encode(
  statement: string,
  values: readonly unknown[],
  serializeJson?: JsonSerializer,
): WireValue[] {
  if (values.length > MAX_VALUES) {
    throw new ArgumentError(
      `the statement has ${values.length} parameters; the protocol takes ${MAX_VALUES}. ` +
        `Pass arrays (unnest) or several parameter sets.`,
    );
  }
  return values.map((value, index) => encodeValue(statement, values, value, index, serializeJson));
}

/** One value, the one at `index` of `values`. @throws StatementError for a value that has no text. */
export function encodeValue(
  statement: string,
  values: readonly unknown[],
  value: unknown,
  index: number,
  serializeJson: JsonSerializer | undefined,
): WireValue {
  if (typeof value === 'string') return value;
  try {
    if (value instanceof Date && Number.isNaN(value.getTime()))
      throw new ArgumentError('it is an invalid Date');
    if (typeof value === 'function' || typeof value === 'symbol')
      throw new ArgumentError(`it is a ${typeof value}`);
    return prepareValue(serializeJson === undefined ? value : withJson(value, serializeJson));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `parameter $${index + 1} cannot be sent: ${reason}`;
    throw new StatementError(message, { cause, statement, parameters: values });
  }
}

/**
 * Objects become their JSON, also those in arrays; a list that is JSON itself has to be serialized by its
 * sender.
 */
function withJson(value: unknown, serializeJson: JsonSerializer): unknown {
  if (Array.isArray(value)) return value.map((element) => withJson(element, serializeJson));
  return isJson(value) ? serializeJson(value) : value;
}

function isJson(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return !(value instanceof Date || ArrayBuffer.isView(value) || 'toPostgres' in value);
}
