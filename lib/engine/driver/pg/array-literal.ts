import type { WireValue } from './pg-step.js';

const NEEDS_ESCAPE = /["\\]/;

/** The text of an array of values that are ready for the wire; elements keep what they are to the last blank. */
export function arrayLiteral(values: readonly WireValue[]): string {
  const elements = values.map((value) => {
    if (value === null) return 'NULL';
    return typeof value === 'string' ? quoted(value) : `"\\\\x${value.toString('hex')}"`;
  });
  return `{${elements.join(',')}}`;
}

function quoted(text: string): string {
  return `"${NEEDS_ESCAPE.test(text) ? text.replaceAll(/["\\]/g, String.raw`\$&`) : text}"`;
}
