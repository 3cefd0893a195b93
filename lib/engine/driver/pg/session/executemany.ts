import { InsertMany } from '../../../statement/insert-many.js';
import type { Command, CommandList } from '../../driver.js';
import { arrayLiteral, encodedArray, fixedArray } from '../wire/arrays.js';
import { dependsOnType, encodeValue } from '../wire/encode-value.js';
import type { JsonSerializer } from '../wire/json-text.js';
import type { WireValue } from '../wire/message-writer.js';
import type { WireCommand } from './pg-step.js';
import type { ArrayInsert, PreparedStatement } from '../prepared/prepared-statements.js';

const BYTEA_OID = 17;
/** Shorter lists are quicker row by row where a coordinator plans the array form for each of its servers. */
const SHORT_LIST = 50;
/** A coordinator gathers rows in the order of its servers. */
const RETURNS_ROWS = /\bRETURNING\b/i;
const JSON_OIDS: ReadonlySet<number> = new Set([114, 3802]);
const NO_VALUES: readonly unknown[] = [];

/** One INSERT of arrays, or one INSERT for each row; `auto`: as the server is better at. */
export type ExecutemanyForm = 'auto' | 'arrays' | 'rows';

/** What of a session decides how it is sent. */
export interface ExecutemanyContext {
  /** Default: `JSON.stringify`. */
  readonly serializeJson?: JsonSerializer | undefined;
  /** Default `auto`. */
  readonly executemany?: ExecutemanyForm | undefined;
  /** Whether the server spreads tables over others; undefined until it was asked. */
  isDistributed?: boolean | undefined;
}

/**
 * One text with many sets of values. An INSERT of a row is sent as one INSERT of arrays, for a list of any
 * length and on every session alike: row by row, foreign keys and triggers would see other things. Where the
 * server spreads its tables over others, lists that are short or return rows go row by row.
 */
export class Executemany {
  readonly commands: CommandList;
  readonly first: Command;
  readonly #context: ExecutemanyContext;
  readonly #insert: InsertMany | undefined;
  /** Positions at which some value is written by its type. */
  readonly #dependent: ReadonlySet<number>;

  private constructor(
    commands: CommandList,
    first: Command,
    dependent: ReadonlySet<number>,
    context: ExecutemanyContext,
  ) {
    this.commands = commands;
    this.first = first;
    this.#dependent = dependent;
    this.#context = context;
    if (context.executemany !== 'rows') this.#insert = InsertMany.of(first.text);
  }

  /** Undefined for commands of different texts. */
  static of(commands: CommandList, context: ExecutemanyContext): Executemany | undefined {
    const [first] = commands;
    if (first === undefined || commands.length === 1) return undefined;
    const { arrayPositions } = commands;
    if (arrayPositions !== undefined) return new Executemany(commands, first, arrayPositions, context);
    const dependent = new Set<number>();
    for (const { text, values = NO_VALUES } of commands) {
      if (text !== first.text) return undefined;
      for (let index = 0; index < values.length; index += 1)
        if (dependsOnType(values[index])) dependent.add(index);
    }
    return new Executemany(commands, first, dependent, context);
  }

  /** True: the types of its values decide how it is sent. */
  get needsTypes(): boolean {
    return this.#insert !== undefined || this.#dependent.size > 0;
  }

  /** True: whether the server spreads its tables over others decides how it is sent. */
  get asksServer(): boolean {
    return this.#isQuestionable && this.#context.isDistributed === undefined;
  }

  get #isRowByRow(): boolean {
    return this.#context.isDistributed === true && this.#isQuestionable;
  }

  get #isQuestionable(): boolean {
    const { executemany = 'auto' } = this.#context;
    if (this.#insert === undefined || executemany !== 'auto') return false;
    return this.commands.length < SHORT_LIST || RETURNS_ROWS.test(this.first.text);
  }

  /** True: some value at `index` is written by its type. */
  dependsOnType(index: number): boolean {
    return this.#dependent.has(index);
  }

  /** What is sent for the commands of one page; `known` is what the server said of the text. */
  page(commands: readonly Command[], known: PreparedStatement | undefined): readonly WireCommand[] {
    const insert = known === undefined || this.#isRowByRow ? 'none' : this.#arrayInsert(known);
    const [first] = commands;
    if (insert === 'none' || first === undefined) return rowsOf(commands, known);
    const parameters = commands.map(({ values }) => values ?? NO_VALUES);
    const arrays = this.#arraysOf(commands, parameters, insert.typeOids);
    if (arrays === undefined) return rowsOf(commands, known);
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
  #arraysOf(
    commands: readonly Command[],
    rows: readonly (readonly unknown[])[],
    typeOids: readonly number[],
  ): readonly WireValue[] | undefined {
    for (const { length } of rows) if (length !== typeOids.length) return undefined;
    const arrays: WireValue[] = [];
    for (const [index, typeOid] of typeOids.entries()) {
      const array = fixedArray(typeOid, rows, index) ?? this.#arrayOf(commands, index, typeOid);
      if (array === undefined) return undefined;
      arrays.push(array);
    }
    return arrays;
  }

  #arrayOf(commands: readonly Command[], index: number, typeOid: number): WireValue | undefined {
    const { serializeJson } = this.#context;
    const isJson = JSON_OIDS.has(typeOid);
    const type = { isJson, elementOid: undefined, hasJsonElements: false, isSingle: !isJson };
    const encoded = commands.map((command) => encodeValue(command, index, serializeJson, type));
    const binary = encodedArray(typeOid, encoded);
    if (binary !== undefined) return binary;
    if (typeOid !== BYTEA_OID && encoded.some((value) => value instanceof Buffer)) return undefined;
    return arrayLiteral(encoded);
  }
}

function rowsOf(commands: readonly Command[], known: PreparedStatement | undefined): readonly WireCommand[] {
  return known === undefined
    ? commands
    : commands.map((command) => ({ ...command, typeOids: known.typeOids }));
}
