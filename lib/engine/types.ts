import { ArgumentError } from './errors.js';

/** Turns the server's text for one value into what the user sees. Never called for NULL. */
export type TypeParser = (text: string) => unknown;

/** What values of a type become: `int8` by a word, any type by a parser under its name or oid. */
export type TypeOptions = Readonly<Record<string, TypeParser | 'string' | 'number' | 'bigint'>>;

/** The oids of PostgreSQL's built-in types that have a name here; fixed in the server's catalogue. */
const OIDS: Readonly<Record<string, number>> = {
  bool: 16,
  bytea: 17,
  int8: 20,
  int2: 21,
  int4: 23,
  text: 25,
  oid: 26,
  json: 114,
  float4: 700,
  float8: 701,
  bpchar: 1042,
  varchar: 1043,
  date: 1082,
  time: 1083,
  timestamp: 1114,
  timestamptz: 1184,
  interval: 1186,
  timetz: 1266,
  numeric: 1700,
  uuid: 2950,
  jsonb: 3802,
};

const ARRAY_OIDS: Readonly<Record<string, number>> = { int8: 1016, date: 1182 };

/** Types whose text is the value: no parser is called for them. */
export const TEXT_OIDS: ReadonlySet<number> = new Set([
  18, 19, 20, 25, 1042, 1043, 1082, 1083, 1266, 1700, 2950,
]);

export const DATE_ARRAY_OID = 1182;

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

/** The parsers that the user chose, by oid; array types follow their element where that is `int8`. */
export interface ResolvedTypes {
  readonly scalars: ReadonlyMap<number, TypeParser>;
  /** Array types whose elements go through a chosen parser. */
  readonly arrays: ReadonlyMap<number, TypeParser>;
}

/** Checks `types` of the engine's options. An unknown name or a wrong value is an {@link ArgumentError}. */
export function resolveTypes(options: TypeOptions = {}): ResolvedTypes {
  const scalars = new Map<number, TypeParser>();
  const arrays = new Map<number, TypeParser>();
  for (const [name, choice] of Object.entries(options)) {
    const parser = parserOf(name, choice);
    if (parser === undefined) continue;
    scalars.set(oidOf(name), parser);
    const arrayOid = ARRAY_OIDS[name];
    if (arrayOid !== undefined) arrays.set(arrayOid, parser);
  }
  return { scalars, arrays };
}

function oidOf(name: string): number {
  const oid = /^\d+$/.test(name) ? Number(name) : OIDS[name];
  if (oid === undefined) {
    throw new ArgumentError(
      `option types: there is no type '${name}'. Known names: ${Object.keys(OIDS).join(', ')}; for any other type give its oid.`,
    );
  }
  return oid;
}

function parserOf(name: string, choice: TypeOptions[string]): TypeParser | undefined {
  if (typeof choice === 'function') return choice;
  if (name === 'int8' && choice === 'string') return undefined;
  const parser = name === 'int8' ? INT8_PARSERS[choice] : undefined;
  if (parser === undefined) {
    throw new ArgumentError(
      `option types.${name} is ${JSON.stringify(choice)}: it takes a function from text to value` +
        (name === 'int8' ? `, or 'string', 'number' or 'bigint'.` : '.'),
    );
  }
  return parser;
}
