/** Types that an array can be made of and taken apart again without a change, by oid. */
const TYPE_NAMES: ReadonlyMap<number, string> = new Map([
  [16, 'bool'],
  [17, 'bytea'],
  [20, 'int8'],
  [21, 'int2'],
  [23, 'int4'],
  [25, 'text'],
  [26, 'oid'],
  [114, 'json'],
  [700, 'float4'],
  [701, 'float8'],
  [1042, 'bpchar'],
  [1043, 'varchar'],
  [1082, 'date'],
  [1083, 'time'],
  [1114, 'timestamp'],
  [1184, 'timestamptz'],
  [1186, 'interval'],
  [1266, 'timetz'],
  [1700, 'numeric'],
  [2950, 'uuid'],
  [3802, 'jsonb'],
]);

// As PostgreSQL has it: every character beyond ASCII may be part of a name, and none is a blank. Classes of
// Unicode take milliseconds to compile.
const BLANK = String.raw`[ \t\n\r\f\v]`;
const NAME = String.raw`(?:"(?:[^"]|"")+"|[a-z_\x80-\uffff][\w$\x80-\uffff]*)`;
const COLUMNS = String.raw`\(${BLANK}*${NAME}(?:${BLANK}*,${BLANK}*${NAME})*${BLANK}*\)`;
const BINDS = String.raw`\$\d+(?:${BLANK}*,${BLANK}*\$\d+)*`;

/**
 * One row of plain binds, and what may stand behind it: ON CONFLICT, RETURNING, without binds of its own. No
 * two repetitions that may match the same characters stand side by side: it takes linear time.
 */
const INSERT = new RegExp(
  String.raw`^${BLANK}*(?<head>INSERT${BLANK}+INTO${BLANK}+${NAME}(?:${BLANK}*\.${BLANK}*${NAME}){0,2}` +
    String.raw`(?:${BLANK}*${COLUMNS})?)` +
    String.raw`${BLANK}*VALUES${BLANK}*\(${BLANK}*(?<binds>${BINDS})${BLANK}*\)` +
    String.raw`(?<tail>${BLANK}*|${BLANK}*(?:ON${BLANK}+CONFLICT|RETURNING)\b[^$]*)$`,
  'i',
);

/**
 * DO UPDATE may meet a row twice in one statement, which is an error that row by row would not have been. A
 * comment could hide it.
 */
const ROW_BY_ROW = /\bDO\s+UPDATE\b|--|\/\*/i;

/** An `INSERT … VALUES ($1, …)` of one row, which can be written as one statement for any number of rows. */
export class InsertMany {
  readonly #head: string;
  /** The number of the bind of each column. */
  readonly #binds: readonly number[];
  readonly #tail: string;

  private constructor(head: string, binds: readonly number[], tail: string) {
    this.#head = head;
    this.#binds = binds;
    this.#tail = tail;
  }

  /** Undefined for a statement that one for many rows could differ from. */
  static of(sql: string): InsertMany | undefined {
    const { head, binds, tail } = INSERT.exec(sql)?.groups ?? {};
    if (head === undefined || binds === undefined || tail === undefined) return undefined;
    if (ROW_BY_ROW.test(tail)) return undefined;
    return new InsertMany(
      head,
      binds.split(',').map((bind) => Number(bind.trim().slice(1))),
      tail.trim(),
    );
  }

  /**
   * The statement that takes an array of values for each bind. Rows go in, and what RETURNING says comes out,
   * in the order of the arrays. Undefined where a type is one that arrays can't carry.
   */
  sqlFor(typeOids: readonly number[]): string | undefined {
    const types = typeOids.map((oid) => TYPE_NAMES.get(oid));
    if (types.includes(undefined)) return undefined;
    const arrays = types.map((type, index) => `pg_catalog.unnest($${index + 1}::pg_catalog.${type}[])`);
    const names = types.map((_, index) => `b${index + 1}`);
    return (
      `${this.#head} SELECT ${this.#binds.map((bind) => `r.b${bind}`).join(', ')} ` +
      `FROM ROWS FROM (${arrays.join(', ')}) WITH ORDINALITY AS r(${names.join(', ')}, place) ` +
      `ORDER BY r.place ${this.#tail}`
    ).trimEnd();
  }
}
