import pg from 'pg';
import { ELEMENT_OIDS } from '../../types/builtin-types.js';
import { TEXT_OIDS } from '../../types/types.js';
import type { ResolvedTypes, TypeParser } from '../../types/types.js';
import type { DriverRow, Field, RowShape } from '../../driver.js';
import {
  decodeAscii,
  decodeBoolean,
  decodeFloat,
  decodeInstant,
  decodeInteger,
  decodeLocalTime,
  decodeText,
  decodeWith,
  lineOf,
} from './field-decoder.js';
import type { FieldDecoder } from './field-decoder.js';

/** Makes a row of the bytes of a DataRow message. */
export type RowBuilder = (bytes: Buffer, start: number, end: number) => DriverRow;

/** A result's columns and the function, compiled once, that makes a row of them. */
export class RowLayout implements RowShape {
  readonly fields: readonly Field[];
  readonly keyed: boolean;
  readonly build: RowBuilder;

  constructor(fields: readonly Field[], types: ResolvedTypes) {
    this.fields = fields;
    this.keyed = new Set(fields.map((field) => field.name)).size === fields.length;
    const decoders = fields.map((field) => decoderFor(field.typeOid, types));
    if (!this.keyed) this.build = buildArray(decoders);
    else
      this.build =
        fields.length > LONGEST_UNROLLED ? buildObject(fields, decoders) : compileObject(fields, decoders);
  }
}

/** V8 gives up on optimising longer functions, and on hidden classes for much larger literals. */
const LONGEST_UNROLLED = 100;

/** Types whose text is the value and ASCII always: int8, date, time, timetz, numeric, uuid. */
const ASCII_OIDS: ReadonlySet<number> = new Set([20, 1082, 1083, 1266, 1700, 2950]);

/** Types that are read from the bytes, without a text in between. */
const BYTE_DECODERS: ReadonlyMap<number, FieldDecoder> = new Map([
  [16, decodeBoolean],
  [21, decodeInteger],
  [23, decodeInteger],
  [26, decodeInteger],
  [700, decodeFloat],
  [701, decodeFloat],
  [1114, decodeLocalTime(pg.types.getTypeParser(1114, 'text') as TypeParser)],
  [1184, decodeInstant(pg.types.getTypeParser(1184, 'text') as TypeParser)],
]);

function decoderFor(oid: number, types: ResolvedTypes): FieldDecoder {
  const isChosen = types.scalars.has(oid) || types.arrays.has(oid);
  const fromBytes = isChosen ? undefined : BYTE_DECODERS.get(oid);
  if (fromBytes !== undefined) return fromBytes;
  const parser = parserFor(oid, types);
  if (parser !== undefined) return decodeWith(parser);
  return ASCII_OIDS.has(oid) ? decodeAscii : decodeText;
}

/**
 * An array's elements are what its type's values are, where pg has other rules for some: dates, numerics,
 * ranges …
 */
function parserFor(oid: number, types: ResolvedTypes): TypeParser | undefined {
  const chosen = types.scalars.get(oid);
  if (chosen !== undefined) return chosen;
  const chosenElement = types.arrays.get(oid);
  if (chosenElement !== undefined) return arrayOf(chosenElement);
  if (TEXT_OIDS.has(oid)) return undefined;
  const elementOid = ELEMENT_OIDS.get(oid);
  if (elementOid !== undefined) return arrayOf(parserFor(elementOid, types) ?? ((text) => text));
  return pg.types.getTypeParser(oid, 'text') as TypeParser;
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
 * other. Behind the two bytes of their number come the fields, each behind its length in bytes, -1 for NULL.
 */
function compileObject(fields: readonly Field[], decoders: readonly FieldDecoder[]): RowBuilder {
  const reads = decoders.map(
    (_, index) => `
      const size${index} = bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3];
      at += 4;
      let value${index} = null;
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
      return { ${members.join(', ')} };
    };`;
  try {
    // oxlint-disable-next-line no-new-func, typescript/no-implied-eval -- names are JSON-encoded; nothing
    // else of the outside enters the text
    const make = new Function('decoders', 'lineOf', text) as (
      decoders: readonly FieldDecoder[],
      line: typeof lineOf,
    ) => RowBuilder;
    return make(decoders, lineOf);
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
    let at = start + 2;
    return decoders.map((decode) => {
      const size = bytes.readInt32BE(at);
      at += 4;
      if (size < 0) return null;
      const valueStart = at;
      at += size;
      return decode(bytes, valueStart, at, line, start);
    });
  };
}
