import { STATEMENT_BRAND, type CompiledStatement, type Row } from './row.js';
import { ArgumentError } from '../errors/errors.js';
import { CommandWriter } from './command-writer.js';
import type { CompiledCache } from './compiled-cache.js';
import { quoteIdentifier } from './identifier.js';
import { TextClause } from './text.js';
import { namelessTemplate } from './text-scanner.js';
import { COPY, THIS_COPY } from '../errors/copies.js';

/** Schema names to be replaced where `sql.id()` names them: the execution option `schemaTranslateMap`. */
export type SchemaTranslateMap = Readonly<Record<string, string>>;

/** A name, qualified or not, that is quoted when the statement is put together. */
export class Identifier {
  readonly names: readonly string[];

  constructor(names: readonly string[]) {
    if (names.length === 0)
      throw new ArgumentError('sql.id() needs at least one name. Write sql.id(schema, table).');
    for (const name of names) quoteIdentifier(name);
    this.names = [...names];
  }

  /** Only the first of several names can be a schema. */
  toSql(schemas: SchemaTranslateMap | undefined): string {
    const [first = '', ...rest] = this.names;
    const isMapped = schemas !== undefined && rest.length > 0 && Object.hasOwn(schemas, first);
    const schema = isMapped ? (schemas[first] ?? first) : first;
    return [schema, ...rest].map(quoteIdentifier).join('.');
  }
}

/** How far a fragment has been written. */
interface Place {
  readonly part: Sql<unknown>;
  next: number;
}

/**
 * SQL with bound values, made by `sql`: a whole statement or a part to be used inside another one. Immutable.
 */
export class Sql<R = Row> {
  /** Carries the row type; there is no such property. */
  declare protected readonly row?: R;
  /** @internal */
  get [STATEMENT_BRAND](): true {
    return true;
  }
  readonly #strings: readonly string[];
  readonly #values: readonly unknown[];
  /** The place in the source that it comes from, when its text depends on nothing else. @internal */
  readonly cacheKey: TemplateStringsArray | undefined;

  /** @internal */
  get [COPY](): object {
    return THIS_COPY;
  }

  /** Throws {@link ArgumentError} for a value that cannot be bound. @internal */
  constructor(strings: readonly string[], values: readonly unknown[], source?: TemplateStringsArray) {
    let isFlat = true;
    for (let index = 0; index < values.length; index += 1) {
      const value = values[index];
      if (value instanceof Sql || value instanceof Identifier) isFlat = false;
      else expectBindable(value, index, strings);
    }
    this.#strings = strings;
    this.#values = values;
    this.cacheKey = isFlat ? source : undefined;
  }

  /** True for `sql.empty` and anything else without SQL. */
  get isEmpty(): boolean {
    return this.#values.length === 0 && this.#strings.join('').trim() === '';
  }

  /** The statement as a driver takes it. @internal */
  toCommand(cache?: CompiledCache, schemas?: SchemaTranslateMap): CompiledStatement {
    const key = this.cacheKey;
    const known = key === undefined ? undefined : cache?.get(key);
    if (known !== undefined) return { text: known.text, values: this.#values, control: known.control };
    const writer = this.#write(schemas);
    writer.expectValuesInPlace();
    const command = writer.finish();
    if (key === undefined || cache === undefined) return command;
    cache.set(key, namelessTemplate(command));
    return command;
  }

  /** The SQL with its placeholders; never the values. */
  toString(): string {
    return this.#write(undefined).text;
  }

  #write(schemas: SchemaTranslateMap | undefined): CommandWriter {
    const writer = new CommandWriter();
    // Without recursion: a condition that grows in a loop may be thousands of fragments deep.
    const open: Place[] = [{ part: this, next: 0 }];
    for (let place = open.at(-1); place !== undefined; place = open.at(-1)) {
      const { part } = place;
      const index = place.next;
      place.next += 1;
      writer.sql(part.#strings[index] ?? '');
      if (index >= part.#values.length) {
        open.pop();
        continue;
      }
      const value = part.#values[index];
      if (value instanceof Sql) open.push({ part: value, next: 0 });
      else if (value instanceof Identifier) writer.sql(value.toSql(schemas));
      else writer.value(value);
    }
    return writer;
  }
}

function expectBindable(value: unknown, index: number, strings: readonly string[]): void {
  if (value === undefined)
    throw refusal(index, strings, 'is undefined. Pass null for NULL, or sql.empty for nothing.');
  if (typeof value === 'function') throw refusal(index, strings, 'is a function. Call it.');
  if (typeof value === 'symbol') throw refusal(index, strings, 'is a symbol. Pass a string.');
  if (value instanceof TextClause) {
    throw refusal(
      index,
      strings,
      'is a text(), whose binds have no values here. Write that part with sql`…`.',
    );
  }
}

function refusal(index: number, strings: readonly string[], problem: string): ArgumentError {
  const before = (strings[index] ?? '').slice(-30);
  return new ArgumentError(
    `the value of placeholder ${index + 1} (after ${JSON.stringify(before)}) ${problem}`,
  );
}
