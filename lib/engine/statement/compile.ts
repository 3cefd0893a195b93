import { ArgumentError, StatementError } from '../errors/errors.js';
import { expectNoSortingValue } from './command-writer.js';
import type { CompiledCache } from './compiled-cache.js';
import { foreignCommand, type Executable } from './executable.js';
import { expandText } from './expanding.js';
import { CompiledSets, type ParameterBatch } from './parameter-batch.js';
import { expectNamed, type CompiledStatement, type Parameters } from './row.js';
import { Sql, type SchemaTranslateMap } from './sql-fragment.js';
import { TextClause } from './text.js';
import type { TextTemplate } from './text-scanner.js';
import { transactionChange } from './transaction-command.js';
import { reasonOf } from '../errors/thrown.js';

/** The protocol counts the values of a statement in 16 bits. */
const MAX_VALUES = 65_535;

const NO_PARAMETERS: Parameters = Object.freeze({});

/**
 * Turns a statement and the values of one execution into what a driver takes.
 *
 * Throws {@link ObjectNotExecutableError} for what is not a statement, {@link ArgumentError} for parameters
 * that do not belong there or SQL of another database, and {@link StatementError} when a bind has no value, a
 * value cannot be read, a query builder fails or there are more than 65,535 values.
 */
export function compileStatement(
  executable: Executable<unknown>,
  parameters?: Parameters,
  cache?: CompiledCache,
  schemas?: SchemaTranslateMap,
): CompiledStatement {
  if (executable instanceof TextClause) {
    return fill(
      executable,
      templateOf(executable, cache),
      parameters === undefined ? NO_PARAMETERS : parameters,
      0,
    );
  }
  const command =
    executable instanceof Sql ? executable.toCommand(cache, schemas) : foreignCommand(executable, schemas);
  if (parameters !== undefined) {
    throw new ArgumentError('only a text() has parameters; the values of this statement are already in it.');
  }
  return bounded(command);
}

/** The same for each set of an executemany. An error names the position of the set that it is about. */
export function compileMany(
  executable: Executable<unknown>,
  sets: readonly Parameters[],
  cache?: CompiledCache,
  schemas?: SchemaTranslateMap,
): readonly CompiledStatement[] | CompiledSets {
  if (executable instanceof TextClause) {
    const template = templateOf(executable, cache);
    return sets.length === 1 || executable.hasExpanding
      ? sets.map((set, group) => fill(executable, template, set, group))
      : fillMany(executable, template, sets);
  }
  return sets.map((set) => compileStatement(executable, set, cache, schemas));
}

/** A text that is sent as it was written, its colons untouched. */
export function compileAsWritten({ sql }: TextClause<unknown>): CompiledStatement {
  return { text: sql, values: [], control: transactionChange(sql) };
}

/** The executions of SQL that is sent as it is. */
export function compileBatch({
  text,
  sets: given,
}: ParameterBatch): readonly CompiledStatement[] | CompiledSets {
  const control = transactionChange(text);
  const sets = given.slice();
  const arrayPositions = new Set<number>();
  for (const values of sets) {
    if (values.length > MAX_VALUES) bounded({ text, values, control });
    for (let index = 0; index < values.length; index += 1)
      if (Array.isArray(values[index])) arrayPositions.add(index);
  }
  if (sets.length === 1) return sets.map((values) => ({ text, values, control }));
  return new CompiledSets({ text, control }, sets.length, arrayPositions, (set) => sets[set] ?? []);
}

function bounded(command: CompiledStatement): CompiledStatement {
  if (command.values.length <= MAX_VALUES) return command;
  throw new StatementError(
    `the statement has ${command.values.length} values and PostgreSQL takes ${MAX_VALUES}. ` +
      'Pass a list as one array (= ANY(:ids), sql.array) or rows as a list of parameter sets.',
  );
}

/** The values of all sets in one list, which is read in a fraction of the time that a list for each takes. */
function fillMany(
  clause: TextClause<unknown>,
  template: TextTemplate,
  sets: readonly Parameters[],
): CompiledSets {
  const { text, names, control } = template;
  if (names.length > MAX_VALUES) bounded({ text, values: names, control });
  const width = names.length;
  const values: unknown[] = [];
  values.length = sets.length * width;
  const arrayPositions = new Set<number>();
  let at = 0;
  for (let group = 0; group < sets.length; group += 1) {
    const set = sets[group] as Parameters;
    if (set?.constructor !== Object) expectNamed(set);
    for (let index = 0; index < width; index += 1) {
      const value = valueOf(clause, template, names[index] as string, set, group);
      if (Array.isArray(value)) arrayPositions.add(index);
      values[at] = value;
      at += 1;
    }
  }
  return new CompiledSets({ text, control }, sets.length, arrayPositions, (set) => {
    // Of its final length, and quicker than a slice of a long list.
    const own: unknown[] = [...names];
    for (let index = 0; index < width; index += 1) own[index] = values[set * width + index];
    return own;
  });
}

function fill(
  clause: TextClause<unknown>,
  template: TextTemplate,
  parameters: Parameters,
  group: number,
): CompiledStatement {
  // Most are plain objects.
  if (parameters?.constructor !== Object) expectNamed(parameters);
  // Of its final length: one that grows has room for 17 values.
  const values: unknown[] = [...template.names];
  for (let index = 0; index < values.length; index += 1) {
    values[index] = valueOf(clause, template, values[index] as string, parameters, group);
  }
  const command = clause.hasExpanding
    ? expandText(clause, template, values)
    : { text: template.text, values, control: template.control };
  return command.values.length <= MAX_VALUES ? command : bounded(command);
}

function valueOf(
  clause: TextClause<unknown>,
  template: TextTemplate,
  name: string,
  parameters: Parameters,
  group: number,
): unknown {
  let given: unknown;
  try {
    // `:constructor` must not find what every object inherits; getters of a class instance count as given.
    const named = (parameters as Readonly<Record<string, unknown>>)[name];
    const isPlain = typeof named !== 'function' && name !== '__proto__';
    given = isPlain || Object.hasOwn(parameters, name) ? named : undefined;
  } catch (cause) {
    throw unreadable(name, template, cause);
  }
  // `null` is a value.
  const value = given === undefined ? clause.binds.get(name)?.value : given;
  if (value === undefined) throw missingValue(name, template, parameters, group);
  return value;
}

function templateOf(clause: TextClause<unknown>, cache: CompiledCache | undefined): TextTemplate {
  const known = cache?.get(clause.sql);
  if (known !== undefined) return known;
  const { template } = clause;
  expectNoSortingValue(template.text, () => placesOf(template));
  cache?.set(clause.sql, template);
  return template;
}

/** Where the values of its text begin. */
function placesOf({ pieces, slots }: TextTemplate): number[] {
  let end = 0;
  return slots.map(({ bind }, index) => {
    const place = end + (pieces[index]?.length ?? 0);
    end = place + `$${bind + 1}`.length;
    return place;
  });
}

function missingValue(
  name: string,
  template: TextTemplate,
  parameters: Parameters,
  group: number,
): StatementError {
  const where = group === 0 ? '' : ` in parameter set ${group}`;
  return new StatementError(
    `the bind ':${name}' has no value${where}. Give it one (null for NULL), or write '\\:${name}' for a plain colon.`,
    { statement: template.text, parameters },
  );
}

function unreadable(name: string, template: TextTemplate, cause: unknown): StatementError {
  const reason = reasonOf(cause);
  const message = `the value of the bind ':${name}' cannot be read: ${reason}`;
  return new StatementError(message, { cause, statement: template.text });
}
