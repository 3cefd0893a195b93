import { InsertMany } from '../../../statement/insert-many.js';
import type { Command } from '../../driver.js';
import { arrayLiteral, encodedArray, fixedArray } from '../wire/arrays.js';
import { dependsOnType, encodeValue } from '../wire/encode-value.js';
import type { JsonSerializer } from '../wire/json-text.js';
import type { WireValue } from '../wire/message-writer.js';
import type { WireCommand } from './pg-step.js';
import type { ArrayInsert, PreparedStatement } from './prepared-statements.js';

const BYTEA_OID = 17;
const JSON_OIDS: ReadonlySet<number> = new Set([114, 3802]);

/**
 * One text with many sets of values. An INSERT of a row is sent as one INSERT of arrays, for a list of any
 * length and on every session alike: row by row, foreign keys and triggers would see other things.
 */
export class Executemany {
  readonly commands: readonly Command[];
  readonly #serializeJson: JsonSerializer | undefined;
  readonly #insert: InsertMany | undefined;
  /** Positions at which some value is written by its type. */
  readonly #dependent = new Set<number>();

  private constructor(commands: readonly Command[], serializeJson: JsonSerializer | undefined) {
    this.commands = commands;
    this.#serializeJson = serializeJson;
    this.#insert = InsertMany.of(commands[0]?.text ?? '');
    for (const { values = [] } of commands)
      for (let index = 0; index < values.length; index += 1)
        if (dependsOnType(values[index])) this.#dependent.add(index);
  }

  /** Undefined for commands of different texts. */
  static of(
    commands: readonly Command[],
    serializeJson: JsonSerializer | undefined,
  ): Executemany | undefined {
    const [first] = commands;
    if (first === undefined || commands.length === 1) return undefined;
    return commands.every(({ text }) => text === first.text)
      ? new Executemany(commands, serializeJson)
      : undefined;
  }

  /** True: the types of its values decide how it is sent. */
  get needsTypes(): boolean {
    return this.#insert !== undefined || this.#dependent.size > 0;
  }

  /** True: some value at `index` is written by its type. */
  dependsOnType(index: number): boolean {
    return this.#dependent.has(index);
  }

  /** What is sent for the commands of one page; `known` is what the server said of the text. */
  page(commands: readonly Command[], known: PreparedStatement | undefined): readonly WireCommand[] {
    const insert = known === undefined ? 'none' : this.#arrayInsert(known);
    const arrays = insert === 'none' ? undefined : this.#arraysOf(commands, insert.typeOids);
    const [first] = commands;
    if (insert === 'none' || arrays === undefined || first === undefined) return commands;
    const parameters = commands.map(({ values }) => values);
    return [{ text: first.text, sql: insert.sql, values: arrays, parameters, prepare: first.prepare }];
  }

  #arrayInsert(known: PreparedStatement): ArrayInsert | 'none' {
    if (known.arrayInsert === undefined) {
      const typeOids = known.typeOids ?? [];
      const sql = this.#insert?.sqlFor(typeOids);
      known.arrayInsert = sql === undefined ? 'none' : { sql, typeOids };
    }
    return known.arrayInsert;
  }

  /** An array for each bind; undefined where the values do not fit the statement, or not into an array. */
  #arraysOf(commands: readonly Command[], typeOids: readonly number[]): readonly WireValue[] | undefined {
    if (commands.some(({ values }) => (values?.length ?? 0) !== typeOids.length)) return undefined;
    const arrays: WireValue[] = [];
    for (const [index, typeOid] of typeOids.entries()) {
      const array = this.#arrayOf(commands, index, typeOid);
      if (array === undefined) return undefined;
      arrays.push(array);
    }
    return arrays;
  }

  #arrayOf(commands: readonly Command[], index: number, typeOid: number): WireValue | undefined {
    const fixed = fixedArray(
      typeOid,
      commands.map(({ values }) => values?.[index]),
    );
    if (fixed !== undefined) return fixed;
    const serializeJson = this.#serializeJson;
    const type = { isJson: JSON_OIDS.has(typeOid), elementOid: undefined, hasJsonElements: false };
    const encoded = commands.map(({ text, values = [] }) =>
      encodeValue({ text, values, serializeJson }, values[index], index, type),
    );
    if (typeOid !== BYTEA_OID && encoded.some((value) => value instanceof Buffer)) return undefined;
    return encodedArray(typeOid, encoded) ?? arrayLiteral(encoded);
  }
}
