import { ArgumentError } from '../errors/errors.js';

/** What a value is known by in a `Set`: equal for equal values, also where they are different objects. */
export type StructuralKey = string | number | bigint | boolean | null | undefined;

/**
 * Makes the key under which equal values meet. Primitives by value, `Date` by its instant, bytes by content,
 * arrays item by item, objects property by property in any order, other instances by their `toJSON()` or else
 * their own properties. Throws {@link ArgumentError} for an instance that shows neither.
 */
export function structuralKey(value: unknown): StructuralKey {
  switch (typeof value) {
    case 'string':
      return `s${value}`;
    case 'number':
    case 'bigint':
    case 'boolean':
    case 'undefined':
      return value;
    default:
      return value === null ? null : encode(value);
  }
}

/** The key of several values together. */
export function structuralKeyOfAll(values: readonly unknown[]): string {
  return values.map(encode).join('');
}

// Every code says its kind and its length or end, so that no two different lists of values read the same.
function encode(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return `s${value.length}:${value}`;
    case 'number':
      return `d${value};`;
    case 'bigint':
      return `i${value};`;
    case 'boolean':
      return value ? 't' : 'f';
    case 'undefined':
      return 'u';
    case 'object':
      return value === null ? 'n' : encodeObject(value);
    default:
      throw notComparable(typeof value);
  }
}

function encodeObject(value: object): string {
  if (value instanceof Date) return `D${value.getTime()};`;
  if (ArrayBuffer.isView(value)) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return `B${bytes.length}:${bytes.toString('latin1')}`;
  }
  if (Array.isArray(value)) return `[${structuralKeyOfAll(value)}]`;
  if ('toJSON' in value && typeof value.toJSON === 'function') return `J${encode(value.toJSON())}`;
  const entries = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  if (entries.length === 0 && !isPlain(value)) throw notComparable(value.constructor.name);
  return `{${entries.map(([name, item]) => encode(name) + encode(item)).join('')}}`;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function notComparable(kind: string): ArgumentError {
  return new ArgumentError(
    `unique() cannot tell whether two values of type ${kind} are equal. Give it a function that returns a key: unique((row) => …).`,
  );
}
