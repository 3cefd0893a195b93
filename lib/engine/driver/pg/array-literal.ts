import type { WireValue } from './pg-step.js';

const NEEDS_ESCAPE = /["\\]/;

/** One element in the text of an array; it keeps what it is to the last blank. */
export function arrayElement(value: WireValue): string {
  if (value === null) return 'NULL';
  if (typeof value !== 'string') return `"\\\\x${value.toString('hex')}"`;
  return `"${NEEDS_ESCAPE.test(value) ? value.replaceAll(/["\\]/g, String.raw`\$&`) : value}"`;
}
