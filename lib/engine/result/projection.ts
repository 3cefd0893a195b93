import { describeValue } from '../util/describe-value.js';
import type { DriverRow, Field, RowShape } from '../driver/driver.js';
import { ArgumentError } from '../errors/errors.js';

/** A column by name (the last of that name) or by position; a negative position counts from the end. */
export type ColumnReference = number | string;

/**
 * What becomes of a row: an object by column name, an array by position, or the value of its first column.
 */
export type RowForm = 'object' | 'tuple' | 'scalar';

/** Columns to keep, each list referring to the columns that the list before it left. */
export type Selections = readonly (readonly ColumnReference[])[];

interface Column {
  readonly field: Field;
  /** Where the value is found in a driver's row: a name or a position. */
  readonly key: number | string;
}

/** Turns a driver's row into what the user asked for; compiled once for all rows of a result. */
export class Projection<T> {
  /** True: every row is handed on as it is, without a copy. */
  readonly isIdentity: boolean;
  readonly read: (row: DriverRow) => T;
  /** The rows that it reads. */
  readonly shape: RowShape;
  readonly #columns: readonly Column[];

  constructor(shape: RowShape, selections: Selections, form: RowForm) {
    this.shape = shape;
    this.#columns = selections.reduce<readonly Column[]>(selectColumns, columnsOf(shape));
    this.isIdentity = selections.length === 0 && form === (shape.keyed ? 'object' : 'tuple');
    this.read = (this.isIdentity ? asIs : readerFor(form, this.#columns)) as (row: DriverRow) => T;
  }

  /** The selected columns, in the order asked for. */
  get fields(): readonly Field[] {
    return this.#columns.map(({ field }) => field);
  }

  /** The selected values of a row, by position. */
  valuesOf(row: DriverRow): unknown[] {
    return this.#columns.map(({ key }) => valueAt(row, key));
  }

  /** The value of the first selected column. Throws {@link ArgumentError} when the rows have no columns. */
  firstValueOf(row: DriverRow): unknown {
    return valueAt(row, columnAt(this.#columns, 0).key);
  }
}

function columnsOf(shape: RowShape): readonly Column[] {
  return shape.fields.map((field, position) => ({ field, key: shape.keyed ? field.name : position }));
}

function selectColumns(
  columns: readonly Column[],
  references: readonly ColumnReference[],
): readonly Column[] {
  return references.map((reference) => columnAt(columns, reference));
}

function columnAt(columns: readonly Column[], reference: ColumnReference): Column {
  const column =
    typeof reference === 'number'
      ? columns.at(Number.isInteger(reference) ? reference : columns.length)
      : columns.findLast(({ field }) => field.name === reference);
  if (column !== undefined) return column;
  const known = columns.map(({ field }) => JSON.stringify(field.name)).join(', ');
  throw new ArgumentError(
    `the rows have no column ${describeValue(reference)}; they have ${known || 'no columns at all'}. ` +
      `Take one of these names, or a position from ${-columns.length} to ${columns.length - 1}.`,
  );
}

function readerFor(form: RowForm, columns: readonly Column[]): (row: DriverRow) => unknown {
  switch (form) {
    case 'object':
      return objectReader(columns);
    case 'tuple':
      return (row) => columns.map(({ key }) => valueAt(row, key));
    case 'scalar': {
      const { key } = columnAt(columns, 0);
      return (row) => valueAt(row, key);
    }
    default:
      return form satisfies never;
  }
}

function objectReader(columns: readonly Column[]): (row: DriverRow) => unknown {
  // A Map keeps the last column of each name and the place of the first, as assigning to an object would.
  const entries = [...new Map(columns.map(({ field, key }) => [field.name, key]))];
  // Assigning to `__proto__` would set the prototype; Object.fromEntries defines a property.
  if (entries.some(([name]) => name === '__proto__')) {
    return (row) => Object.fromEntries(entries.map(([name, key]) => [name, valueAt(row, key)]));
  }
  return (row) => {
    const object: Record<string, unknown> = {};
    for (const [name, key] of entries) object[name] = valueAt(row, key);
    return object;
  };
}

function asIs(row: DriverRow): DriverRow {
  return row;
}

// Object and array rows are read alike; only the kind of key differs.
function valueAt(row: DriverRow, key: number | string): unknown {
  return (row as Readonly<Record<number | string, unknown>>)[key];
}
