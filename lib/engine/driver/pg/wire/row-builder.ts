import pg from 'pg';
import { ELEMENT_OIDS } from '../../types/builtin-types.js';
import { TEXT_OIDS, type ResolvedTypes, type TypeParser } from '../../types/types.js';
import { InterfaceError } from '../../../errors/errors.js';
import type { DriverRow, Field, RowShape } from '../../driver.js';
import {
  decodeAscii,
  decodeBoolean,
  decodeDate,
  decodeFloat,
  decodeInstant,
  decodeInteger,
  decodeLocalTime,
  decodeText,
  decodeWith,
  lineOf,
} from './field-decoder.js';
import type { FieldDecoder } from './field-decoder.js';
import { STYLED_PARSERS } from './styles.js';

/** Makes a row of the bytes of a DataRow message. */
export type RowBuilder = (bytes: Buffer, start: number, end: number) => DriverRow;

/** A result's columns and the function, compiled once, that makes a row of them. */
export class RowLayout implements RowShape {
  readonly fields: readonly Field[];
  readonly keyed: boolean;
  readonly build: RowBuilder;
  readonly decoders: readonly FieldDecoder[];
  readonly #types: ResolvedTypes;

  constructor(fields: readonly Field[], types: ResolvedTypes) {
    this.fields = fields;
    this.#types = types;
    this.keyed = new Set(fields.map((field) => field.name)).size === fields.length;
    const decoders = fields.map((field) => decoderFor(field.typeOid, types));
    this.decoders = decoders;
    if (!this.keyed) this.build = buildArray(decoders);
    else
      this.build =
        fields.length > LONGEST_UNROLLED ? buildObject(fields, decoders) : compileObject(fields, decoders);
  }

  /** The types that the database has to be asked about before an array of one of them can be read. */
  get unknownTypes(): readonly number[] {
    return this.fields.map(({ typeOid }) => typeOid).filter((oid) => isUnknown(oid, this.#types));
  }

  /** The same columns, with what is known of their types by now. */
  renewed(): RowLayout {
    return new RowLayout(this.fields, this.#types);
  }
}

/** A row that can't be read before the database was asked about its types. */
export class UnknownTypeSignal extends Error {}

/** The bytes of a row are not what its columns say: nothing that the server sends can be trusted any more. */
export function malformedRow(): InterfaceError {
  return new InterfaceError(
    'the server sent a row that does not fit its message. The connection was closed; take another one.',
    { connectionInvalidated: true },
  );
}

/** V8 does not optimize longer functions, and gives much larger literals no hidden class. */
const LONGEST_UNROLLED = 100;

/** Types whose text is the value and ASCII always: int8, time, timetz, numeric, uuid. */
const ASCII_OIDS: ReadonlySet<number> = new Set([20, 1083, 1266, 1700, 2950]);

const DATE_OID: number = 1082;
const TIMESTAMP_OID: number = 1114;
const TIMESTAMPTZ_OID: number = 1184;

function styledParser(oid: number): TypeParser {
  return STYLED_PARSERS.get(oid) ?? ((text) => text);
}

/** Types that are read from the bytes, without a text in between. */
const BYTE_DECODERS: ReadonlyMap<number, FieldDecoder> = new Map([
  [16, decodeBoolean],
  [21, decodeInteger],
  [23, decodeInteger],
  [26, decodeInteger],
  [700, decodeFloat],
  [701, decodeFloat],
  [DATE_OID, decodeDate(styledParser(DATE_OID))],
  [TIMESTAMP_OID, decodeLocalTime(styledParser(TIMESTAMP_OID))],
  [TIMESTAMPTZ_OID, decodeInstant(styledParser(TIMESTAMPTZ_OID))],
]);

function isChosen(oid: number, { scalars, arrays }: ResolvedTypes): boolean {
  return scalars.has(oid) || arrays.has(oid);
}

function isUnknown(oid: number, types: ResolvedTypes): boolean {
  return !isChosen(oid, types) && types.catalog.needs(oid);
}

function decoderFor(oid: number, types: ResolvedTypes): FieldDecoder {
  const fromBytes = isChosen(oid, types) ? undefined : BYTE_DECODERS.get(oid);
  if (fromBytes !== undefined) return fromBytes;
  if (isUnknown(oid, types)) return decodeUnknown;
  const parser = parserFor(oid, types);
  if (parser !== undefined) return decodeWith(parser);
  return ASCII_OIDS.has(oid) ? decodeAscii : decodeText;
}

const BRACE = 0x7b;
const BRACKET = 0x5b;

/** Only what looks like an array is worth a question to the database; an enum or a composite is its text. */
const decodeUnknown: FieldDecoder = (bytes, start, end, line, lineStart) => {
  if (bytes[start] === BRACE || bytes[start] === BRACKET) throw new UnknownTypeSignal();
  return decodeText(bytes, start, end, line, lineStart);
};

/**
 * An array's elements are read by the rule of their type, also where pg reads the elements of arrays
 * otherwise.
 */
function parserFor(oid: number, types: ResolvedTypes): TypeParser | undefined {
  const chosen = types.scalars.get(oid);
  if (chosen !== undefined) return chosen;
  const chosenElement = types.arrays.get(oid);
  if (chosenElement !== undefined) return arrayOf(chosenElement);
  if (TEXT_OIDS.has(oid)) return undefined;
  const baseOid = types.catalog.baseOf(oid);
  if (baseOid !== undefined) return parserFor(baseOid, types);
  const elementOid = ELEMENT_OIDS.get(oid) ?? types.catalog.elementOf(oid);
  if (elementOid !== undefined) return arrayOf(parserFor(elementOid, types) ?? ((text) => text));
  return STYLED_PARSERS.get(oid) ?? (pg.types.getTypeParser(oid, 'text') as TypeParser);
}

// pg exports no typed array parser; its parser of text[] gives the elements' texts, nested as they are.
const TEXT_ARRAY_OID: number = 1009;
const parseTextArray = pg.types.getTypeParser(TEXT_ARRAY_OID, 'text') as (
  text: string,
) => readonly TextElement[];
type TextElement = string | null | readonly TextElement[];

function arrayOf(element: TypeParser): TypeParser {
  const convert = (value: TextElement): unknown => {
    if (value === null) return null;
    return typeof value === 'string' ? element(value) : value.map(convert);
  };
  return (text) => parseTextArray(text).map(convert);
}

/** The types that never look at the line. */
const LINELESS: ReadonlySet<FieldDecoder> = new Set([decodeBoolean, decodeInteger]);

function needsLine(decoders: readonly FieldDecoder[]): boolean {
  return !decoders.every((decoder) => LINELESS.has(decoder));
}

/**
 * An object literal with every column written out: V8 gives all rows one hidden class. Names are JSON
 * strings, so that no name can be code; `__proto__` is a computed key, which makes it a column like any
 * other. A row is the number of its fields in two bytes, then each field behind its length, -1 for NULL; all
 * of it must be inside the message, or bytes of the next answer would become a value.
 */
function compileObject(fields: readonly Field[], decoders: readonly FieldDecoder[]): RowBuilder {
  const reads = decoders.map(
    (_, index) => `
      const size${index} = bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3];
      at += 4;
      let value${index} = null;
      if (size${index} > end - at || size${index} < -1) throw malformed();
      if (size${index} >= 0) value${index} = decode${index}(bytes, at, at += size${index}, line, start);`,
  );
  const members = fields.map((field, index) => `${keyExpression(field.name)}: value${index}`);
  const names = decoders.map((_, index) => `decode${index}`);
  const text = `
    const [${names.join(', ')}] = decoders;
    return (bytes, start, end) => {
      let at = start + 2;
      const line = ${needsLine(decoders) ? 'lineOf(bytes, start, end)' : "''"};
      ${reads.join('')}
      if (at !== end || (bytes[start] << 8 | bytes[start + 1]) !== ${fields.length}) throw malformed();
      return { ${members.join(', ')} };
    };`;
  try {
    // oxlint-disable-next-line no-new-func, typescript/no-implied-eval -- the only input is names, as JSON
    const make = new Function('decoders', 'lineOf', 'malformed', text) as (
      decoders: readonly FieldDecoder[],
      line: typeof lineOf,
      malformed: typeof malformedRow,
    ) => RowBuilder;
    return make(decoders, lineOf, malformedRow);
  } catch (error) {
    // Node's --disallow-code-generation-from-strings
    if (error instanceof EvalError) return buildObject(fields, decoders);
    throw error;
  }
}

function keyExpression(name: string): string {
  const key = JSON.stringify(name);
  return name === '__proto__' ? `[${key}]` : key;
}

function buildObject(fields: readonly Field[], decoders: readonly FieldDecoder[]): RowBuilder {
  const asArray = buildArray(decoders);
  return (bytes, start, end) => {
    const array = asArray(bytes, start, end) as readonly unknown[];
    return Object.fromEntries(fields.map((field, index) => [field.name, array[index]]));
  };
}

function buildArray(decoders: readonly FieldDecoder[]): RowBuilder {
  const isLined = needsLine(decoders);
  return (bytes, start, end) => {
    const line = isLined ? lineOf(bytes, start, end) : '';
    if (end - start < 2 || bytes.readUInt16BE(start) !== decoders.length) throw malformedRow();
    let at = start + 2;
    const row = decoders.map((decode) => {
      const size = end - at < 4 ? Number.POSITIVE_INFINITY : bytes.readInt32BE(at);
      at += 4;
      if (size > end - at || size < -1) throw malformedRow();
      if (size < 0) return null;
      const valueStart = at;
      at += size;
      return decode(bytes, valueStart, at, line, start);
    });
    if (at !== end) throw malformedRow();
    return row;
  };
}
