import { lazy } from '../../util/lazy.js';

const NEEDS_QUOTES = /[",\r\n]/;
/** Spreadsheets skip white space and invisible characters, and read full-width signs as the plain ones. */
const formulas = lazy(
  () => new RegExp(String.raw`^(?:[\t\r\n]|[\s\p{Cc}\p{Cf}]*[=+\-@\uff1d\uff0b\uff0d\uff20])`, 'u'),
);
const IS_NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

/**
 * JSON of a row or a value: bytes are base64, a bigint is a string of its digits. `NaN` and `Infinity` are
 * strings, as PostgreSQL's `to_json()` has them.
 */
export function toJson(value: unknown): string {
  // A replacer makes JSON.stringify several times slower, and few rows need one.
  if (!hasSpecials(value)) return JSON.stringify(value);
  return JSON.stringify(value, replaceSpecials);
}

/** One field of RFC 4180. */
export function csvField(value: unknown, escapesFormulas: boolean): string {
  if (value === null || value === undefined) return '';
  const text = plainText(value);
  // As COPY has it, so that an empty string is not read back as NULL.
  if (text === '') return '""';
  if (escapesFormulas && isText(value, text)) return safeField(text);
  return NEEDS_QUOTES.test(text) ? quoted(text) : text;
}

/** Quoted in any case, because a spreadsheet may separate fields by another character. */
function safeField(text: string): string {
  return quoted(formulas().test(text) ? `'${text}` : text);
}

function isText(value: unknown, text: string): boolean {
  if (typeof value === 'string') return !IS_NUMBER.test(text);
  return typeof value === 'object' && !(value instanceof Date);
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

function plainText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return toBase64(value);
  const isPlain = typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint';
  return isPlain ? String(value) : toJson(value);
}

/** Whether a row or arrays of it hold what JSON has no word for; the rest is JSON's own affair. */
function hasSpecials(row: unknown): boolean {
  if (typeof row !== 'object' || row === null) return isSpecial(row);
  return isSpecial(row) || Object.values(row).some(isSpecialOrHolds);
}

function isSpecialOrHolds(value: unknown): boolean {
  return Array.isArray(value) ? value.some(isSpecialOrHolds) : isSpecial(value);
}

function isSpecial(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isFinite(value);
  return typeof value === 'bigint' || value instanceof Uint8Array;
}

// JSON calls Buffer's own toJSON() before the replacer; the value as it was is still in its holder.
function replaceSpecials(this: unknown, key: string, value: unknown): unknown {
  const original: unknown = typeof this === 'object' && this !== null ? Reflect.get(this, key) : value;
  if (original instanceof Uint8Array) return toBase64(original);
  return isSpecial(value) ? String(value) : value;
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
