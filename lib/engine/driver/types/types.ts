import { ArgumentError } from '../../errors/errors.js';
import { describeValue } from '../../util/describe-value.js';
import { synchronousRule } from '../../util/option-rule.js';
import { builtinType } from './builtin-types.js';
import { TypeCatalog } from './type-catalog.js';

/** Turns the server's text for one value into what the user sees. Never called for NULL. */
export type TypeParser = (text: string) => unknown;

/**
 * What values of a type become, by the type's name (`int8`, `bigint`) or OID (`20`): a parser, `'text'` (the
 * server's text), and for `int8` also `'string'` (the default), `'number'` or `'bigint'`. Arrays of the type
 * follow. A name that PostgreSQL does not come with, such as that of an enum or a composite type, is looked
 * up in the database when a connection is opened.
 */
export type TypeOptions = Readonly<Record<string, TypeParser | 'text' | 'string' | 'number' | 'bigint'>>;

/** Types whose text is the value: they need no parser. */
export const TEXT_OIDS: ReadonlySet<number> = new Set([18, 19, 20, 25, 1042, 1043, 1083, 1266, 1700, 2950]);

const INT8_PARSERS: Readonly<Record<string, TypeParser>> = {
  number: (text) => {
    const value = Number(text);
    if (!Number.isSafeInteger(value)) {
      throw new ArgumentError(
        `the int8 ${text} does not fit a number exactly. Use types: { int8: 'bigint' } or 'string' (the default).`,
      );
    }
    return value;
  },
  bigint: (text) => BigInt(text),
};

/** The parsers that the user chose. */
export interface ResolvedTypes {
  /** By the oid of their type. */
  readonly scalars: ReadonlyMap<number, TypeParser>;
  /** By the oid of an array whose elements go through them. */
  readonly arrays: ReadonlyMap<number, TypeParser>;
  /** By a name or oid that only the database knows. */
  readonly unresolved: ReadonlyMap<string, TypeParser>;
  /** How the user wrote each type whose oid is known. */
  readonly names: ReadonlyMap<number, string>;
  /** The database's own types that were met so far; shared by all sessions of an engine. */
  readonly catalog: TypeCatalog;
}

/** What the database says of a type; nulls where it has none of that name. */
export interface TypeEntry {
  readonly wanted: string;
  readonly oid: number | null;
  /** 0 where there is no array of it. */
  readonly arrayOid: number | null;
  /** `pg_type.typtype`: `e` an enum, `c` a composite, `d` a domain … */
  readonly kind: string | null;
}

/**
 * Checks `types` of the engine's options.
 *
 * @param parseJson Reads json and jsonb where `types` says nothing of them.
 * @throws ArgumentError for a wrong rule, and for one type under two names.
 */
export function resolveTypes(options: TypeOptions = {}, parseJson?: TypeParser): ResolvedTypes {
  const scalars = new Map<number, TypeParser>();
  const arrays = new Map<number, TypeParser>();
  const unresolved = new Map<string, TypeParser>();
  const names = new Map<number, string>();
  for (const [name, choice] of Object.entries<TypeOptions[string]>(options)) {
    const builtin = builtinType(name);
    const parser = parserOf(name, builtin?.oid, choice);
    if (builtin !== undefined) expectOnce(names, builtin.oid, name);
    if (parser === undefined) continue;
    if (builtin === undefined) unresolved.set(name, parser);
    else scalars.set(builtin.oid, parser);
    if (builtin?.arrayOid !== undefined) arrays.set(builtin.arrayOid, parser);
  }
  if (parseJson !== undefined) addJson(parseJson, scalars, arrays);
  return { scalars, arrays, unresolved, names, catalog: new TypeCatalog() };
}

function expectOnce(names: Map<number, string>, oid: number, name: string): void {
  const other = names.get(oid);
  names.set(oid, name);
  if (other === undefined) return;
  throw new ArgumentError(
    `option types: '${other}' and '${name}' are two names of one type. Leave one of them out.`,
  );
}

function addJson(
  parseJson: TypeParser,
  scalars: Map<number, TypeParser>,
  arrays: Map<number, TypeParser>,
): void {
  for (const type of [builtinType('json'), builtinType('jsonb')]) {
    if (type === undefined || scalars.has(type.oid)) continue;
    scalars.set(type.oid, parseJson);
    if (type.arrayOid !== undefined) arrays.set(type.arrayOid, parseJson);
  }
}

/**
 * Adds what the database says of the names that only it knows.
 *
 * @throws ArgumentError for a name that it does not have, for one type under two names, and for a domain,
 * whose values arrive as those of its base type.
 */
export function completeTypes(types: ResolvedTypes, entries: readonly TypeEntry[]): ResolvedTypes {
  const scalars = new Map(types.scalars);
  const arrays = new Map(types.arrays);
  const names = new Map(types.names);
  for (const { wanted, oid, arrayOid, kind } of entries) {
    const parser = types.unresolved.get(wanted);
    if (parser === undefined) continue;
    if (oid === null) {
      throw new ArgumentError(
        `option types: the database has no type '${wanted}'. Correct the name (with its schema, where that is not in ` +
          `the search_path), or create the type first, with an engine that has no rule for it.`,
      );
    }
    if (kind === 'd') {
      throw new ArgumentError(
        `option types: '${wanted}' is a domain, and its values arrive as values of its base type. Name that type.`,
      );
    }
    expectOnce(names, oid, wanted);
    scalars.set(oid, parser);
    if (arrayOid !== null && arrayOid !== 0) arrays.set(arrayOid, parser);
  }
  return { scalars, arrays, unresolved: new Map(), names, catalog: types.catalog };
}

const INT8_OID = 20;

function parserOf(
  name: string,
  oid: number | undefined,
  choice: TypeOptions[string],
): TypeParser | undefined {
  if (typeof choice === 'function' && synchronousRule.accepts(choice)) return choice;
  if (choice === 'text') return (text) => text;
  const isInt8 = oid === INT8_OID;
  if (isInt8 && choice === 'string') return undefined;
  const parser =
    isInt8 && typeof choice === 'string' && Object.hasOwn(INT8_PARSERS, choice)
      ? INT8_PARSERS[choice]
      : undefined;
  if (parser === undefined) {
    throw new ArgumentError(
      `option types.${name} must be a function from text to value that is not async, or 'text'` +
        `${isInt8 ? ", 'string', 'number' or 'bigint'" : ''}; got ${describeValue(choice)}.`,
    );
  }
  return parser;
}
