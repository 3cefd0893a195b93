import { InsertMany } from '../../../statement/insert-many.js';
import type { Command } from '../../driver.js';
import { arrayLiteral } from '../wire/array-literal.js';
import { encodedArray, fixedArray } from '../wire/binary-array.js';
import { encodeValue } from './pg-step.js';
import type { WireValue } from '../wire/message-writer.js';
import type { JsonSerializer, WireCommand } from './pg-step.js';
import type { PreparedStatements } from './prepared-statements.js';

/** For fewer, one Bind each is as quick. */
const FEWEST = 4;
const BYTEA_OID = 17;

/** What a session knows about sending. */
export interface Encoding {
  readonly prepared: PreparedStatements;
  readonly serializeJson?: JsonSerializer | undefined;
}

/**
 * What an executemany sends: one INSERT of arrays where its commands are one INSERT of a row, again and
 * again, else the commands as they are. The types of the binds are asked with the first page that a session
 * sends of a text, which goes row by row.
 */
export function forMany(
  commands: readonly Command[],
  { prepared, serializeJson }: Encoding,
): readonly WireCommand[] {
  const [first] = commands;
  if (first === undefined || commands.length < FEWEST || !isRepeated(commands, first)) return commands;
  if (first.prepare === false || !prepared.isEnabled) return commands;
  const many = prepared.find(first.text)?.many;
  if (many === undefined) {
    const insert = InsertMany.of(first.text);
    return insert === undefined ? commands : [{ ...first, insert }, ...commands.slice(1)];
  }
  const arrays = many === 'none' ? undefined : arraysOf(commands, many.typeOids, serializeJson);
  if (many === 'none' || arrays === undefined) return commands;
  return [
    {
      text: first.text,
      sql: many.sql,
      values: arrays,
      parameters: commands.map(({ values }) => values),
    },
  ];
}

function isRepeated(commands: readonly Command[], { text }: Command): boolean {
  return commands.every((command) => command.text === text);
}

/**
 * An array for each bind; undefined where there are not as many as the statement has, or bytes that are no
 * bytea.
 */
function arraysOf(
  commands: readonly Command[],
  typeOids: readonly number[],
  serializeJson: JsonSerializer | undefined,
): readonly WireValue[] | undefined {
  if (commands.some(({ values }) => (values?.length ?? 0) !== typeOids.length)) return undefined;
  const arrays: WireValue[] = [];
  for (const [index, typeOid] of typeOids.entries()) {
    const array = arrayOf(commands, index, typeOid, serializeJson);
    if (array === undefined) return undefined;
    arrays.push(array);
  }
  return arrays;
}

function arrayOf(
  commands: readonly Command[],
  index: number,
  typeOid: number,
  serializeJson: JsonSerializer | undefined,
): WireValue | undefined {
  const fixed = fixedArray(
    typeOid,
    commands.map(({ values }) => values?.[index]),
  );
  if (fixed !== undefined) return fixed;
  const encoded = commands.map(({ text, values = [] }) =>
    encodeValue(text, values, values[index], index, serializeJson),
  );
  if (typeOid !== BYTEA_OID && encoded.some((value) => value instanceof Buffer)) return undefined;
  return encodedArray(typeOid, encoded) ?? arrayLiteral(encoded);
}
