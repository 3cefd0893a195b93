import pg from 'pg';
import { ELEMENT_OIDS } from '../../builtin-types.js';
import { TEXT_OIDS } from '../../types.js';
import type { ResolvedTypes, TypeParser } from '../../types.js';
import type { DriverRow, Field, RowShape } from '../driver.js';

export type RowBuilder = (values: readonly (string | null)[]) => DriverRow;

/** A result's columns and the function, compiled once, that makes a row of them. */
export class RowLayout implements RowShape {
  readonly fields: readonly Field[];
  readonly keyed: boolean;
  readonly build: RowBuilder;

  constructor(fields: readonly Field[], types: ResolvedTypes) {
    this.fields = fields;
    this.keyed = new Set(fields.map((field) => field.name)).size === fields.length;
    const parsers = fields.map((field) => parserFor(field.typeOid, types));
    this.build = this.keyed ? compileObject(fields, parsers) : buildArray(parsers);
  }
}

/** An array's elements are what its type's values are, where pg has other rules for some: dates, numerics, ranges … */
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

/**
 * An object literal with every column written out: V8 gives all rows one hidden class. Names are JSON strings, so that
 * no name can be code; `__proto__` is a computed key, which makes it a column like any other.
 */
function compileObject(fields: readonly Field[], parsers: readonly (TypeParser | undefined)[]): RowBuilder {
  const members = fields.map(
    (field, index) => `${keyExpression(field.name)}: ${valueExpression(index, parsers[index] !== undefined)}`,
  );
  try {
    // oxlint-disable-next-line no-new-func, typescript/no-implied-eval -- names are JSON-encoded; nothing else of the outside enters the text
    const make = new Function('parsers', `return (values) => ({ ${members.join(', ')} });`) as (
      parsers: readonly (TypeParser | undefined)[],
    ) => RowBuilder;
    return make(parsers);
  } catch (error) {
    // Node's --disallow-code-generation-from-strings
    if (error instanceof EvalError) return buildObject(fields, parsers);
    throw error;
  }
}

function keyExpression(name: string): string {
  const key = JSON.stringify(name);
  return name === '__proto__' ? `[${key}]` : key;
}

function valueExpression(index: number, isParsed: boolean): string {
  return isParsed
    ? `values[${index}] === null ? null : parsers[${index}](values[${index}])`
    : `values[${index}]`;
}

function buildObject(fields: readonly Field[], parsers: readonly (TypeParser | undefined)[]): RowBuilder {
  const asArray = buildArray(parsers);
  return (values) => {
    const array = asArray(values) as readonly unknown[];
    return Object.fromEntries(fields.map((field, index) => [field.name, array[index]]));
  };
}

function buildArray(parsers: readonly (TypeParser | undefined)[]): RowBuilder {
  return (values) =>
    values.map((value, index) => {
      const parser = parsers[index];
      return value === null || parser === undefined ? value : parser(value);
    });
}
