import { BUILTIN_TYPES } from './builtin-types.js';
import { ArgumentError } from '../../errors/errors.js';

/** Turns the server's text for one value into what the user sees. Never called for NULL. */
export type TypeParser = (text: string) => unknown;

/**
 * What values of a type become, by the type's name or oid: a parser, `'text'` (the server's text as it is),
 * and for `int8` also `'string'` (the default), `'number'` or `'bigint'`. Arrays of the type follow. A name
 * that PostgreSQL does not come with, such as an enum's or a composite's, is looked up in the database when a
 * connection is opened.
 */
export type TypeOptions = Readonly<Record<string, TypeParser | 'text' | 'string' | 'number' | 'bigint'>>;

/** Types whose text is the value: no parser is called for them. */
export const TEXT_OIDS: ReadonlySet<number> = new Set([
  18, 19, 20, 25, 1042, 1043, 1082, 1083, 1266, 1700, 2950,
]);

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
 * Checks `types` of the engine's options. A wrong value is an {@link ArgumentError}.
 *
 * @param parseJson What becomes of json and jsonb where `types` does not say it.
 */
export function resolveTypes(options: TypeOptions = {}, parseJson?: TypeParser): ResolvedTypes {
  const json = parseJson === undefined ? {} : { json: parseJson, jsonb: parseJson };
  const scalars = new Map<number, TypeParser>();
  const arrays = new Map<number, TypeParser>();
  const unresolved = new Map<string, TypeParser>();
  for (const [name, choice] of Object.entries<TypeOptions[string]>({ ...json, ...options })) {
    const parser = parserOf(name, choice);
    if (parser === undefined) continue;
    const builtin = builtinType(name);
    if (builtin === undefined) unresolved.set(name, parser);
    else scalars.set(builtin.oid, parser);
    if (builtin?.arrayOid !== undefined) arrays.set(builtin.arrayOid, parser);
  }
  return { scalars, arrays, unresolved };
}

/**
 * Adds what the database says of the names that only it knows.
 *
 * @throws ArgumentError for a name that it does not have, and for a domain, whose values arrive as those of
 * its base type.
 */
export function completeTypes(types: ResolvedTypes, entries: readonly TypeEntry[]): ResolvedTypes {
  const scalars = new Map(types.scalars);
  const arrays = new Map(types.arrays);
  for (const { wanted, oid, arrayOid, kind } of entries) {
    const parser = types.unresolved.get(wanted);
    if (parser === undefined) continue;
    if (oid === null) {
      throw new ArgumentError(
        `option types: the database has no type '${wanted}'. Correct the name (with its schema, where that is not in the ` +
          `search_path), or create the type before, by an engine without this option.`,
      );
    }
    if (kind === 'd') {
      throw new ArgumentError(
        `option types: '${wanted}' is a domain, and its values arrive as those of the type under it. Name that type.`,
      );
    }
    scalars.set(oid, parser);
    if (arrayOid !== null && arrayOid !== 0) arrays.set(arrayOid, parser);
  }
  return { scalars, arrays, unresolved: new Map() };
}

function builtinType(name: string): { readonly oid: number; readonly arrayOid?: number } | undefined {
  if (Object.hasOwn(BUILTIN_TYPES, name)) return BUILTIN_TYPES[name];
  if (!/^\d+$/.test(name)) return undefined;
  return Object.values(BUILTIN_TYPES).find(({ oid }) => oid === Number(name));
}

function parserOf(name: string, choice: TypeOptions[string]): TypeParser | undefined {
  if (typeof choice === 'function') return choice;
  if (choice === 'text') return (text) => text;
  if (name === 'int8' && choice === 'string') return undefined;
  const parser = name === 'int8' ? INT8_PARSERS[choice] : undefined;
  if (parser === undefined) {
    throw new ArgumentError(
      `option types.${name} is ${JSON.stringify(choice)}: it takes a function from text to value, or 'text'` +
        (name === 'int8' ? `, 'string', 'number' or 'bigint'.` : '.'),
    );
  }
  return parser;
}
