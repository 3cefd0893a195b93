import type { ClientConfig } from 'pg';
import { ArgumentError } from '../../../errors/errors.js';
import { MAX_NAME_BYTES } from '../../../statement/identifier.js';

/** What the server cuts off without an error, so that two names would become one. */
const NAMES: readonly string[] = ['user', 'database', 'application_name', 'fallback_application_name'];

/**
 * Refuses what would not arrive as it is: a NUL, which ends a value in the startup message, so that what
 * comes behind it would be parameters of their own, and names that the server would cut off.
 *
 * @throws ArgumentError that names the parameter, and never its value.
 */
export function expectStartupValues(config: ClientConfig | undefined): void {
  for (const [name, value] of Object.entries(config ?? {})) {
    if (typeof value !== 'string') continue;
    if (value.includes('\0')) throw new ArgumentError(`the connection's ${name} must not contain NUL.`);
    if (!NAMES.includes(name) || Buffer.byteLength(value) <= MAX_NAME_BYTES) continue;
    throw new ArgumentError(
      `the connection's ${name} has more than ${MAX_NAME_BYTES} bytes, which the server would cut off. Shorten it.`,
    );
  }
}
