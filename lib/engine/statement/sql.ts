import { ArgumentError } from '../errors/errors.js';
import type { Row } from './row.js';
import { describeKind, describeValue } from '../util/describe-value.js';
import { isRecord } from '../util/option-rule.js';
import { MAX_NAME_BYTES } from './identifier.js';
import { Identifier, Sql } from './sql-fragment.js';

/** The template tag `sql` and what makes parts for it. */
export interface SqlTag {
  /**
   * Makes a statement, or a part of one, in which every `${value}` is bound.
   *
   * A value that is itself made by `sql` is spliced in. `R` is the type of its rows. Throws {@link
   * ArgumentError} for
   * `undefined`, naming the placeholder, and when it is called as a plain function.
   */
  <R = Row>(strings: TemplateStringsArray, ...values: readonly unknown[]): Sql<R>;
  /** A part without SQL, for conditions that do not apply. */
  readonly empty: Sql;
  /** A quoted name: `sql.id('schema', 'table')`. */
  id(...names: readonly string[]): Sql;
  /**
   * Parts or values one after the other, with `separator` (default `, `) between them.
   *
   * @throws ArgumentError for an empty list, and for a separator that is not made with `sql`.
   */
  join(parts: readonly unknown[], separator?: Sql): Sql;
  /** SQL taken as it is. Never pass what a user typed. */
  raw(trusted: string): Sql;
  /**
   * Rows of bound values, `($1, $2), ($3, $4)`, for VALUES.
   *
   * Rows are arrays, or objects of which `columns` (default: the keys of the first) says what is taken in
   * which order. Parts made by `sql` are spliced in. Throws {@link ArgumentError} when rows do not have the
   * same columns.
   *
   * @example
   * ```ts
   * const rows = sql.values([{ name: 'pen', price: 3 }]);
   * await engine.execute(sql`INSERT INTO items (name, price) VALUES ${rows}`);
   * ```
   */
  values(rows: readonly (readonly unknown[])[] | readonly object[], columns?: readonly string[]): Sql;
  /**
   * A list as one array parameter: `$1::type[]`. `type` is the type of an element.
   *
   * @example
   * ```ts
   * await engine.execute(sql`SELECT * FROM items WHERE id = ANY(${sql.array([1, 2, 3], 'int8')})`).all();
   * ```
   */
  array(values: readonly unknown[], type: string): Sql;
}

function tag<R = Row>(strings: TemplateStringsArray, ...values: readonly unknown[]): Sql<R> {
  if (!Array.isArray(strings) || !('raw' in strings) || strings.length !== values.length + 1) {
    throw new ArgumentError(
      'sql is a template tag: write sql`…`. For SQL in a variable use text() or sql.raw().',
    );
  }
  // An escape such as \u{zz} leaves no cooked string.
  if (strings.some((piece) => piece === undefined)) {
    throw new ArgumentError('sql`…` contains an escape that JavaScript does not know. Double the backslash.');
  }
  return new Sql<R>(strings, values, strings);
}

function raw(trusted: string): Sql {
  if (typeof trusted !== 'string')
    throw new ArgumentError(`sql.raw() needs a string; got ${describeKind(trusted)}.`);
  return new Sql([trusted], []);
}

function join(parts: readonly unknown[], separator: Sql = COMMA): Sql {
  if (!Array.isArray(parts)) {
    throw new ArgumentError(`sql.join() needs an array of parts; got ${describeKind(parts)}.`);
  }
  if (!(separator instanceof Sql)) {
    throw new ArgumentError(
      `the separator of sql.join() must be made with sql; got ${describeValue(separator)}. Write sql\` OR \`.`,
    );
  }
  if (parts.length === 0) {
    throw new ArgumentError(
      'sql.join() needs at least one part; got an empty array. Leave the clause out (sql.empty), or use sql.array().',
    );
  }
  // Copied, because flatMap() leaves out the holes of a list.
  const separated = [...(parts as readonly unknown[])].flatMap((part, index) =>
    index === 0 ? [part] : [separator, part],
  );
  return new Sql(['', ...separated.map(() => '')], separated);
}

function values(rows: readonly (readonly unknown[])[] | readonly object[], columns?: readonly string[]): Sql {
  const first = firstRowOf(rows, columns);
  const names = columns ?? (Array.isArray(first) ? undefined : Object.keys(first));
  const width = names?.length ?? (first as readonly unknown[]).length;
  if (width === 0) throw new ArgumentError('sql.values() needs at least one column. Use DEFAULT VALUES.');
  const strings: string[] = [];
  const cells: unknown[] = [];
  for (const [index, row] of rows.entries()) {
    for (const [position, cell] of cellsOf(row, index, width, names, columns === undefined).entries()) {
      strings.push(position > 0 ? ', ' : index > 0 ? '), (' : '(');
      cells.push(cell);
    }
  }
  strings.push(')');
  return new Sql(strings, cells);
}

function firstRowOf(rows: unknown, columns: unknown): object {
  if (!Array.isArray(rows)) {
    throw new ArgumentError(`sql.values() needs an array of rows; got ${describeKind(rows)}. Write [row].`);
  }
  if (rows.length === 0) {
    throw new ArgumentError('sql.values() needs at least one row. Do not send the statement then.');
  }
  const wrong = Array.from<unknown>(rows).findIndex((row) => !Array.isArray(row) && !isRecord(row));
  if (wrong !== -1) {
    throw new ArgumentError(
      `row ${wrong} of sql.values() must be an array or an object of values; got ${describeKind(rows[wrong])}.`,
    );
  }
  if (
    columns === undefined ||
    (Array.isArray(columns) && columns.every((name) => typeof name === 'string'))
  ) {
    return rows[0] as object;
  }
  throw new ArgumentError('the columns of sql.values() must be an array of names.');
}

function cellsOf(
  row: object,
  index: number,
  width: number,
  names: readonly string[] | undefined,
  isExact: boolean,
): readonly unknown[] {
  if (Array.isArray(row)) {
    if (row.length === width) return row as readonly unknown[];
    throw new ArgumentError(
      `row ${index} of sql.values() has ${row.length} values where ${width} are needed.`,
    );
  }
  if (names === undefined)
    throw new ArgumentError(`row ${index} of sql.values() must be an array, as the first row is.`);
  const own = row as Readonly<Record<string, unknown>>;
  if (isExact && Object.keys(own).length !== width) {
    throw new ArgumentError(
      `row ${index} of sql.values() has other columns than the first. Pass the columns.`,
    );
  }
  return names.map((name) => {
    if (own[name] !== undefined) return own[name];
    throw new ArgumentError(
      `row ${index} of sql.values() has no value for '${name}'. Pass null, or sql\`DEFAULT\`.`,
    );
  });
}

const TYPE_NAME =
  /^(?:[a-z_][\w$]*|"(?:[^"\0]|"")+")(?:\.(?:[a-z_][\w$]*|"(?:[^"\0]|"")+"))?(?:\(\d+(?:, ?-?\d+)?\))?$/i;
const LONG_TYPE_NAME =
  /^(?:double precision|(?:character|bit) varying(?:\(\d+\))?|time(?:stamp)?(?:\(\d\))? with(?:out)? time zone)$/i;

function array(items: readonly unknown[], type: string): Sql {
  if (!Array.isArray(items))
    throw new ArgumentError(`sql.array() needs an array of values; got ${describeKind(items)}.`);
  if (!isTypeName(type)) {
    throw new ArgumentError(
      `sql.array() needs the type of an element, such as 'int8' or 'text', without '[]'.`,
    );
  }
  // A hole counts too, which indexOf() would not find.
  const missing = items.findIndex((item) => item === undefined);
  if (missing !== -1)
    throw new ArgumentError(`element ${missing} of sql.array() is undefined. Pass null for NULL.`);
  return new Sql(['', `::${type}[]`], [items]);
}

function isTypeName(type: unknown): boolean {
  if (typeof type !== 'string' || !(TYPE_NAME.test(type) || LONG_TYPE_NAME.test(type))) return false;
  return type.split('.').every((name) => Buffer.byteLength(name.replaceAll('"', '')) <= MAX_NAME_BYTES);
}

const COMMA = new Sql([', '], []);

/**
 * The template tag for SQL with values: `` sql`SELECT * FROM users WHERE id = ${id}` ``.
 *
 * @example
 * ```ts
 * const cheap = sql`price < ${limit}`;
 * const named = name === '' ? sql.empty : sql`AND name = ${name}`;
 * await engine.execute(sql`SELECT * FROM items WHERE ${cheap} ${named}`).all();
 * ```
 */
export const sql: SqlTag = Object.assign(tag, {
  empty: new Sql([''], []),
  id: (...names: readonly string[]): Sql => new Sql(['', ''], [new Identifier(names)]),
  join,
  raw,
  values,
  array,
});
