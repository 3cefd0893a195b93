import { HIDDEN_PARAMETERS } from './parameter-text.js';

/** A shorter value stands in every sentence by chance, and hides nothing by itself. */
const SHORTEST_VALUE = 3;

/** Fields of the driver's error in which PostgreSQL quotes rows, keys and parameters. */
const QUOTING_FIELDS = ['detail', 'hint', 'where', 'internalQuery'] as const;

/**
 * A message of the server without values: of class 22, which quotes what it could not read, nothing between
 * quotes is left; of all others, such as a RAISE of a function, nothing that is a parameter.
 */
export function hideValues(message: string, sqlState: string | undefined, parameters: unknown): string {
  const isAboutValue = sqlState?.startsWith('22') === true;
  // To the last quote: the value may have quotes of its own.
  const text = isAboutValue ? message.replace(/".*"/s, '"…"').replaceAll(/0x[\da-f]{2}/gi, '0x…') : message;
  return textsOf(parameters)
    .filter((value) => value.length >= SHORTEST_VALUE && value.length <= text.length)
    .toSorted((left, right) => right.length - left.length)
    .reduce((left, value) => left.replaceAll(anyCase(value), '…'), text);
}

/** Does the same to the driver's error, which a logger prints as the cause of ours. */
export function hideValuesOfCause(cause: unknown, sqlState: string | undefined, parameters: unknown): void {
  if (!(cause instanceof Error)) return;
  const { message, stack } = cause;
  cause.message = hideValues(message, sqlState, parameters);
  if (stack !== undefined) cause.stack = stack.replace(message, () => cause.message);
  const fields = cause as Error & Partial<Record<(typeof QUOTING_FIELDS)[number], string>>;
  for (const name of QUOTING_FIELDS) if (fields[name] !== undefined) fields[name] = HIDDEN_PARAMETERS;
}

/** PostgreSQL folds the case of names. */
function anyCase(value: string): RegExp {
  return new RegExp(value.replaceAll(/[$()*+.?[\\\]^{|}/-]/g, String.raw`\$&`), 'gi');
}

/** The values as texts, those inside of lists and objects too. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value === 'number' || typeof value === 'bigint') return [String(value)];
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? [] : [value.toISOString()];
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return [];
  return Object.values(value).flatMap(textsOf);
}
