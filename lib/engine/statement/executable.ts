import { ArgumentError, ObjectNotExecutableError, StatementError } from '../errors/errors.js';
import type { CompiledCache } from './compiled-cache.js';
import { type CompiledStatement, type Row } from './row.js';
import { Sql, type SchemaTranslateMap } from './sql-fragment.js';
import { describeValue } from '../util/describe-value.js';
import { compileTranslated, expectUnmapped } from './schema-translation.js';
import { TextClause } from './text.js';
import { transactionChange } from './transaction-command.js';
import { isOfAnotherCopy } from '../errors/copies.js';

/**
 * What `compile()` of a Kysely query gave. Its `O` is in none of its properties: name the row type at
 * `execute`.
 */
export interface CompiledQuery {
  readonly query: object;
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

/** A query builder that compiles itself, as Kysely's do; their row type carries over. */
export interface CompilableQuery<R = Row> {
  /** Gives the SQL with `$1` placeholders, and its values. */
  compile(): { readonly sql: string; readonly parameters: readonly unknown[] };
  /** Never called: the only place where the row type can be read. */
  executeTakeFirstOrThrow?(): Promise<R>;
}

/**
 * A query builder as Drizzle's. Its rows come under the names of the columns, so its own row type does not
 * fit.
 */
export interface ToSqlQuery {
  /** Gives the SQL with `$1` placeholders, and its values. */
  toSQL(): { readonly sql: string; readonly params: readonly unknown[] };
}

/** A query config of `pg`, or a value of `sql-template-tag`. */
export interface QueryConfig {
  readonly text: string;
  readonly values?: readonly unknown[] | undefined;
  /** Ignored: prepared statements get their names from the engine. */
  readonly name?: string | undefined;
}

/** What can be executed; `R` is the type of its rows. */
export type Executable<R = Row> =
  TextClause<R> | Sql<R> | CompilableQuery<R> | CompiledQuery | ToSqlQuery | QueryConfig;

/** Drizzle marks its own classes by this. */
const DRIZZLE_KIND = Symbol.for('drizzle:entityKind');

/**
 * When the cached form of a statement was made, by the clock of `performance.now()`; undefined when none is
 * cached.
 */
export function cachedSince(executable: Executable<unknown>, cache: CompiledCache): number | undefined {
  if (executable instanceof TextClause) return cache.peek(executable.sql)?.createdAt;
  if (executable instanceof Sql && executable.cacheKey !== undefined)
    return cache.peek(executable.cacheKey)?.createdAt;
  return undefined;
}

const NO_VALUES: readonly unknown[] = [];

/** What a query builder made, or a config of `pg`, as a driver takes it. */
export function foreignCommand(
  executable: unknown,
  schemas: SchemaTranslateMap | undefined,
): CompiledStatement {
  if (isCompilable(executable)) {
    const { sql, parameters } = fieldsOf(built('compile()', () => compileTranslated(executable, schemas)));
    return builtCommand(sql, parameters, 'compile() of the statement must return { sql, parameters }');
  }
  if (isCompiled(executable)) {
    expectUnmapped(executable.query, schemas);
    return builtCommand(executable.sql, executable.parameters, 'the compiled query is not complete');
  }
  if (isToSql(executable)) {
    const { sql, params } = fieldsOf(built('toSQL()', () => executable.toSQL()));
    return builtCommand(sql, params, 'toSQL() of the statement must return { sql, params }');
  }
  if (isConfig(executable)) {
    return checkedCommand(
      executable.text,
      executable.values ?? NO_VALUES,
      'the values of { text, values } must be an array',
    );
  }
  if (isOfAnotherCopy(executable)) {
    throw new ObjectNotExecutableError(`this statement is ${describeValue(executable)}.`);
  }
  throw new ObjectNotExecutableError(
    `${describeValue(executable)} is not a statement: wrap it in text() or sql\`\`.`,
  );
}

function built(method: string, build: () => unknown): unknown {
  try {
    return build();
  } catch (cause) {
    if (cause instanceof ArgumentError) throw cause;
    throw new StatementError(
      `${method} of the statement failed: ${cause instanceof Error ? cause.message : describeValue(cause)}. ` +
        'Complete the query; where the method needs an argument, call it and execute its result.',
      { cause },
    );
  }
}

function builtCommand(text: unknown, values: unknown, problem: string): CompiledStatement {
  const command = checkedCommand(text, values, problem);
  const count = command.values.length;
  if (count > 0 && !mentions(command.text, count)) {
    throw new ArgumentError(
      `the query has ${count} value(s) and its SQL does not mention $${count}: it was built for another database. ` +
        'Use the PostgreSQL dialect of the query builder.',
    );
  }
  if (command.values.some(isDrizzleEntity)) {
    throw new ArgumentError(
      'the query has a placeholder without a value. ' +
        "Write the value into the query, or fill it by Drizzle's fillPlaceholders() and execute { text, values }.",
    );
  }
  return command;
}

/**
 * PostgreSQL refuses a statement that does not mention its last value; one that mentions it may still be
 * wrong.
 */
function mentions(text: string, count: number): boolean {
  return text.includes(`$${count}`) || new RegExp(`\\$0+${count}(?!\\d)`).test(text);
}

function isDrizzleEntity(value: unknown): boolean {
  const kind: unknown = fieldsOf(value)['constructor'];
  return typeof kind === 'function' && DRIZZLE_KIND in kind;
}

/** Null means no values, as for `pg`. */
function checkedCommand(text: unknown, given: unknown, problem: string): CompiledStatement {
  const values: unknown = given === null ? NO_VALUES : given;
  if (typeof text === 'string' && Array.isArray(values))
    return { text, values, control: transactionChange(text) };
  throw new ObjectNotExecutableError(`${problem}. Use a query builder for PostgreSQL, or text() or sql\`\`.`);
}

function isCompilable(value: unknown): value is CompilableQuery<unknown> {
  return typeof fieldsOf(value)['compile'] === 'function';
}

function isCompiled(value: unknown): value is CompiledQuery {
  const { query, sql, parameters } = fieldsOf(value);
  return typeof query === 'object' && query !== null && typeof sql === 'string' && Array.isArray(parameters);
}

function isToSql(value: unknown): value is ToSqlQuery {
  return typeof fieldsOf(value)['toSQL'] === 'function';
}

function isConfig(value: unknown): value is QueryConfig {
  return typeof fieldsOf(value)['text'] === 'string';
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
