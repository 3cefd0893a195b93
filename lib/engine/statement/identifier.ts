import { ArgumentError } from '../errors/errors.js';

/**
 * Quotes one identifier: the only place in the library that does.
 *
 * Quotes inside the name are doubled, upper case and blanks are kept, a dot has no meaning.
 * Throws {@link ArgumentError} for an empty name, one that contains NUL, or something that is no string.
 */
export function quoteIdentifier(name: string): string {
  if (typeof name !== 'string') {
    throw new ArgumentError(
      `an identifier must be a string, got ${typeof name}. Pass the name of a table or column.`,
    );
  }
  if (name === '')
    throw new ArgumentError('an identifier must not be empty. Pass the name of a table or column.');
  if (name.includes('\0')) {
    throw new ArgumentError(
      'an identifier must not contain NUL: PostgreSQL has no such names. Check where it came from.',
    );
  }
  return `"${name.replaceAll('"', '""')}"`;
}
