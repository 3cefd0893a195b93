import { InsertMany } from '../../statement/index.js';
import type { Command } from '../driver.js';
import { arrayLiteral } from './array-literal.js';
import { encode } from './pg-step.js';
import type { JsonSerializer, WireCommand, WireValue } from './pg-step.js';
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
 * What an executemany sends: one INSERT of arrays where its commands are one INSERT of a row, again and again, else the
 * commands as they are. The types of the binds are asked with the first page that a session sends of a text, which goes
 * row by row.
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
  const columns = many === 'none' ? undefined : columnsOf(commands, many.typeOids, serializeJson);
  if (many === 'none' || columns === undefined) return commands;
  return [
    {
      text: first.text,
      sql: many.sql,
      values: columns.map(arrayLiteral),
      parameters: commands.map(({ values }) => values),
    },
  ];
}

function isRepeated(commands: readonly Command[], { text }: Command): boolean {
  return commands.every((command) => command.text === text);
}

/** The values of each bind; undefined where there are not as many as the statement has, or bytes that are no bytea. */
function columnsOf(
  commands: readonly Command[],
  typeOids: readonly number[],
  serializeJson: JsonSerializer | undefined,
): readonly (readonly WireValue[])[] | undefined {
  const columns: WireValue[][] = typeOids.map(() => []);
  for (const { text, values = [] } of commands) {
    if (values.length !== typeOids.length) return undefined;
    const encoded = encode(text, values, serializeJson);
    for (const [index, value] of encoded.entries()) {
      if (typeof value === 'object' && value !== null && typeOids[index] !== BYTEA_OID) return undefined;
      columns[index]?.push(value);
    }
  }
  return columns;
}
