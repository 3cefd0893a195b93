import type { WireValue } from './message-writer.js';

const NEEDS_ESCAPE = /["\\]/;

/** The text of an array; each element keeps what it is to the last blank. */
export function arrayLiteral(values: readonly WireValue[]): string {
  return `{${values.map(element).join(',')}}`;
}

function element(value: WireValue): string {
  if (value === null) return 'NULL';
  if (typeof value !== 'string') return `"\\\\x${value.toString('hex')}"`;
  return `"${NEEDS_ESCAPE.test(value) ? value.replaceAll(/["\\]/g, String.raw`\$&`) : value}"`;
}
