import { StatementError } from '../errors/errors.js';
import type { CompiledCache } from './compiled-cache.js';
import { expandText } from './expanding.js';
import { expectNamed, type CompiledStatement, type Parameters } from './row.js';
import type { TextClause } from './text.js';
import type { TextTemplate } from './text-scanner.js';

const NO_PARAMETERS: Parameters = Object.freeze({});

/**
 * Puts the values of one execution to a text.
 *
 * Throws {@link ArgumentError} when `parameters` is not an object of named values and {@link StatementError}
 * when a bind has no value.
 */
export function compileText(
  clause: TextClause<unknown>,
  parameters: Parameters = NO_PARAMETERS,
  cache?: CompiledCache,
): CompiledStatement {
  expectNamed(parameters);
  return fill(clause, templateOf(clause, cache), parameters, 0);
}

/** The same for each set of an executemany, whose text is looked up once. */
export function compileTexts(
  clause: TextClause<unknown>,
  sets: readonly Parameters[],
  cache?: CompiledCache,
): CompiledStatement[] {
  const template = templateOf(clause, cache);
  return sets.map((set, group) => {
    expectNamed(set);
    return fill(clause, template, set, group);
  });
}

function fill(
  clause: TextClause<unknown>,
  template: TextTemplate,
  parameters: Parameters,
  group: number,
): CompiledStatement {
  const values = template.names.map((name) => {
    const given = ownValue(parameters, name);
    // `null` is a value.
    const value = given === undefined ? clause.binds.get(name)?.value : given;
    if (value === undefined) throw missingValue(name, template, parameters, group);
    return value;
  });
  return clause.hasExpanding ? expandText(clause, template, values) : { text: template.text, values };
}

function templateOf(clause: TextClause<unknown>, cache: CompiledCache | undefined): TextTemplate {
  if (cache === undefined) return clause.template;
  const known = cache.get(clause.sql);
  if (known !== undefined) return known;
  cache.set(clause.sql, clause.template);
  return clause.template;
}

/** `:constructor` must not find what every object inherits; getters of a class instance count as given. */
function ownValue(parameters: Parameters, name: string): unknown {
  const value = (parameters as Readonly<Record<string, unknown>>)[name];
  if (typeof value !== 'function' && name !== '__proto__') return value;
  return Object.hasOwn(parameters, name) ? value : undefined;
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
