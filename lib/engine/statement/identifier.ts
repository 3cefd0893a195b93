import { ArgumentError } from '../errors/errors.js';
import { describeKind, describeValue } from '../util/describe-value.js';

/** The server cuts longer names off, with a notice only: the names of two tenants could become one. */
export const MAX_NAME_BYTES = 63;

/**
 * Quotes one identifier: the only place in the library that does.
 *
 * Quotes inside the name are doubled, upper case and blanks are kept, a dot has no meaning.
 *
 * @throws ArgumentError for an empty name, one that contains NUL or has more than 63 bytes, or what is not a
 * string.
 */
export function quoteIdentifier(name: string): string {
  if (typeof name !== 'string') {
    throw new ArgumentError(
      `an identifier must be a string; got ${describeKind(name)}. Pass the name of a table or column.`,
    );
  }
  if (name === '')
    throw new ArgumentError('an identifier must not be empty. Pass the name of a table or column.');
  if (name.includes('\0')) {
    throw new ArgumentError('an identifier must not contain NUL: PostgreSQL does not allow it in names.');
  }
  // No character has more than 3 bytes for each of its UTF-16 units.
  if (name.length * 3 > MAX_NAME_BYTES && Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw new ArgumentError(
      `the identifier ${describeValue(name)} has more than ${MAX_NAME_BYTES} bytes, which PostgreSQL would cut off. Shorten it.`,
    );
  }
  return `"${name.replaceAll('"', '""')}"`;
}
