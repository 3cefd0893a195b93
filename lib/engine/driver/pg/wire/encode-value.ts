import pg from 'pg';
import { ArgumentError, StatementError } from '../../../errors/errors.js';
import type { ParameterType } from '../../types/type-catalog.js';
import { arrayLiteral, encodedArray, type ArrayElement } from './arrays.js';
import { isBoxed, jsonText, type JsonSerializer } from './json-text.js';
import type { WireValue } from './message-writer.js';
import { types } from '../../../errors/node-modules.js';
import { reasonOf } from '../../../errors/thrown.js';

/** The statement that a value belongs to. */
export interface Binding {
  readonly text: string;
  readonly values?: readonly unknown[] | undefined;
}

/** Bind counts its values in 16 bits. */
const MAX_VALUES = 65_535;
/** The server ends a session that sends it a longer message. */
const MAX_MESSAGE = 0x3fff_0000;
/** Texts of fewer characters in all fit into a message, whatever they are made of. */
const SURELY_SHORT = MAX_MESSAGE / 4;

/** True: how the value is written depends on the type of its parameter: a JSON list, or an array. */
export const dependsOnType: (value: unknown) => boolean = Array.isArray;

/**
 * The values of one execution. `typeOf` gives the type of the parameter at a position, where it is known.
 *
 * @throws StatementError for a value that can't be sent, ArgumentError for more than the protocol can count.
 */
export function encodeValues(
  binding: Binding,
  serializeJson?: JsonSerializer,
  typeOf?: (index: number) => ParameterType,
): WireValue[] {
  const { values = [] } = binding;
  if (values.length > MAX_VALUES) {
    throw new ArgumentError(
      `the statement has ${values.length} parameters and PostgreSQL takes ${MAX_VALUES}. ` +
        `Pass a list as one array (= ANY(:ids), unnest) or rows as a list of parameter sets.`,
    );
  }
  const encoded: WireValue[] = [];
  // By number, because map() leaves out the holes of a list.
  for (let index = 0; index < values.length; index += 1)
    encoded.push(encodeValue(binding, index, serializeJson, typeOf?.(index)));
  let { length } = binding.text;
  for (const value of encoded) length += value?.length ?? 0;
  if (length > SURELY_SHORT) expectShort(binding, encoded);
  return encoded;
}

function expectShort({ text, values = [] }: Binding, encoded: readonly WireValue[]): void {
  const bytes = encoded.reduce((sum, value) => sum + (value === null ? 0 : Buffer.byteLength(value)), 0);
  if (Math.max(bytes, Buffer.byteLength(text)) <= MAX_MESSAGE) return;
  throw new StatementError(
    'the statement and its values are longer than the 1 GB that PostgreSQL takes. Send them in parts.',
    { statement: text.slice(0, 1_000), parameters: values.map((value) => typeof value) },
  );
}

/** The value at `index`. @throws StatementError for a value that can't be sent. */
export function encodeValue(
  binding: Binding,
  index: number,
  serializeJson: JsonSerializer | undefined,
  type?: ParameterType,
): WireValue {
  const value = binding.values?.[index];
  if (typeof value === 'number') return String(value);
  if (value === null || value === undefined) return null;
  try {
    if (typeof value === 'string') return wellFormed(value);
    if (Array.isArray(value)) return encodeArray(value, serializeJson, type);
    return flat(encode(value, serializeJson, []));
  } catch (cause) {
    const reason = reasonOf(cause);
    throw new StatementError(`parameter $${index + 1} cannot be sent: ${reason}`, {
      cause,
      statement: binding.text,
      parameters: binding.values,
    });
  }
}

function encodeArray(
  list: readonly unknown[],
  serializeJson: JsonSerializer | undefined,
  type: ParameterType | undefined,
): WireValue {
  if (type?.isJson === true) return jsonText(list, serializeJson);
  if (type?.isSingle === true)
    throw new ArgumentError(
      'it is a list, and its place takes one value. ' +
        'Write = ANY(…) in place of IN (…), and <> ALL(…) in place of NOT IN (…).',
    );
  if (isNumbers(list)) return `{${list.join(',')}}`;
  const json = (element: unknown): unknown =>
    Array.isArray(element) ? jsonText(element, serializeJson) : element;
  const elements = encode(type?.hasJsonElements === true ? Array.from(list, json) : list, serializeJson, []);
  return binaryWithNulls(elements, type?.elementOid) ?? flat(elements);
}

/** Unlike others, they need no quotes in the text of an array. */
function isNumbers(list: readonly unknown[]): list is readonly number[] {
  // A hole is NULL: every() would leave it out.
  for (let index = 0; index < list.length; index += 1) if (typeof list[index] !== 'number') return false;
  return true;
}

/** In a session with `array_nulls` off, the NULL of an array's text is a word of four letters. */
function binaryWithNulls(elements: ArrayElement, elementOid: number | undefined): Buffer | undefined {
  if (elementOid === undefined || !isList(elements) || !elements.includes(null)) return undefined;
  return elements.some(isList) ? undefined : encodedArray(elementOid, elements as readonly WireValue[]);
}

function isList(encoded: ArrayElement): encoded is readonly ArrayElement[] {
  return Array.isArray(encoded);
}

function encode(
  value: unknown,
  serializeJson: JsonSerializer | undefined,
  seen: readonly unknown[],
): ArrayElement {
  switch (typeof value) {
    case 'string':
      return wellFormed(value);
    case 'number':
    case 'bigint':
    case 'boolean':
      return String(value);
    case 'undefined':
      return null;
    case 'object':
      return value === null ? null : encodeObject(value, serializeJson, seen);
    default:
      throw new ArgumentError(`it is a ${typeof value}.`);
  }
}

/** Half of a surrogate pair has no bytes: it would be sent as U+FFFD. */
function wellFormed(text: string): string {
  if (text.isWellFormed()) return text;
  throw new ArgumentError(
    'it has half of a surrogate pair, as of an emoji that was cut in two. Cut it by Array.from(text), or call toWellFormed().',
  );
}

function encodeObject(
  value: object,
  serializeJson: JsonSerializer | undefined,
  seen: readonly unknown[],
): ArrayElement {
  if (Buffer.isBuffer(value)) return value;
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (types.isAnyArrayBuffer(value)) return Buffer.from(value);
  if (types.isDate(value)) return dateText(value);
  if (seen.includes(value)) throw new ArgumentError('it contains itself.');
  if (Array.isArray(value)) {
    // A hole is NULL, as undefined is.
    return Array.from(value, (element: unknown) => encode(element, serializeJson, [...seen, value]));
  }
  if ('toPostgres' in value && typeof value.toPostgres === 'function') {
    const prepare = (inner: unknown): ArrayElement => flat(encode(inner, serializeJson, [...seen, value]));
    return encode(value.toPostgres(prepare), serializeJson, [...seen, value]);
  }
  if (isBoxed(value)) return String(value.valueOf());
  return jsonText(value, serializeJson);
}

/** A value as one text; also what `toPostgres(prepare)` of an object gets of a value, as pg gives it. */
function flat(encoded: ArrayElement): WireValue {
  return isList(encoded) ? arrayLiteral(encoded) : encoded;
}

const MINUTE = 60_000;

/**
 * The date by the clock of this process with its distance from UTC, so that a timestamp without time zone
 * gets the local time. Before standard time that distance has seconds, which PostgreSQL reads.
 */
function dateText(date: Date): string {
  if (Number.isNaN(date.getTime())) throw new ArgumentError('it is an invalid Date.');
  if (pg.defaults.parseInputDatesAsUTC) return dateTimeText(date, '+00:00');
  const clock = new Date(0);
  clock.setUTCFullYear(date.getFullYear(), date.getMonth(), date.getDate());
  clock.setUTCHours(date.getHours(), date.getMinutes(), date.getSeconds(), date.getMilliseconds());
  const offset = Number.isNaN(clock.getTime()) ? 0 : clock.getTime() - date.getTime();
  return dateTimeText(offset === 0 ? date : clock, offsetText(offset));
}

function offsetText(offset: number): string {
  const distance = Math.abs(offset);
  const seconds = Math.floor((distance % MINUTE) / 1_000);
  const minutes = Math.floor(distance / MINUTE);
  const text = `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
  return `${offset < 0 ? '-' : '+'}${text}${seconds === 0 ? '' : `:${two(seconds)}`}`;
}

/** By the UTC fields of `date`. Years before 1 are counted as PostgreSQL does it: there is no year 0. */
function dateTimeText(date: Date, offset: string): string {
  const year = date.getUTCFullYear();
  const isBC = year < 1;
  const digits = String(isBC ? 1 - year : year).padStart(4, '0');
  // Behind the year: -01-02T03:04:05.678
  const rest = date.toISOString().slice(-20, -1);
  return `${digits}${rest}${offset}${isBC ? ' BC' : ''}`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
