import { isOfAnotherCopy } from '../errors/copies.js';

const SHOWN_CHARACTERS = 40;

/** What may hold a password is not shown. */
const MAY_BE_SECRET = /:\/\/|passw/i;

/**
 * A value as an error shows it: of a string at most 40 characters, of an object its class, and nothing of a
 * text that may hold a password.
 */
export function describeValue(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return describeText(value);
    case 'function':
    case 'object':
    case 'symbol':
      return describeKind(value);
    default:
      return cut(String(value));
  }
}

/** The kind of a value, with nothing of the value itself: for what is a secret. */
export function describeKind(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (isOfAnotherCopy(value)) {
    const what = typeof value === 'function' ? 'a class' : `an instance of ${classNameOf(value)}`;
    return `${what} of another copy of nest-async-engine: install one version, and import it in one way`;
  }
  if (typeof value !== 'object') return `a ${typeof value}`;
  const name = classNameOf(value);
  if (name === 'Array') return 'an array';
  return name === undefined || name === 'Object' ? 'an object' : `an instance of ${name}`;
}

function describeText(text: string): string {
  // Escaped, so that a value can't forge a line of a log.
  return MAY_BE_SECRET.test(text)
    ? 'a string that is not shown'
    : `'${JSON.stringify(cut(text)).slice(1, -1).replaceAll('\\"', '"')}'`;
}

function cut(text: string): string {
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}

function classNameOf(value: object): string | undefined {
  try {
    const name: unknown = value.constructor?.name;
    return typeof name === 'string' && name !== '' ? cut(name) : undefined;
  } catch {
    // A revoked Proxy, or a getter that throws.
    return undefined;
  }
}
