import { putText, roomOf, type WireValue } from './message-writer.js';

/** An element of an array: a value, or an array of the next dimension. */
export type ArrayElement = WireValue | readonly ArrayElement[];

const NEEDS_ESCAPE = /["\\]/;

/** The text of an array. Every element is quoted, so that each keeps its blanks, commas and letter case. */
export function arrayLiteral(elements: readonly ArrayElement[]): string {
  return `{${elements.map(elementText).join(',')}}`;
}

function elementText(element: ArrayElement): string {
  if (element === null) return 'NULL';
  if (typeof element === 'string')
    return `"${NEEDS_ESCAPE.test(element) ? element.replaceAll(/["\\]/g, String.raw`\$&`) : element}"`;
  return Buffer.isBuffer(element) ? `"\\\\x${element.toString('hex')}"` : arrayLiteral(element);
}

/** Before the elements: number of dimensions, whether there are NULLs, type, length, first index. */
const HEAD = 20;
/** Before each element: its length, or -1 for NULL. */
const LENGTH = 4;

const BYTEA_OID = 17;

/** A type whose elements all have one length. `put` returns false for a value that must be sent as text. */
interface FixedType {
  readonly width: number;
  put(view: DataView, at: number, value: unknown): boolean;
}

const FIXED_TYPES: ReadonlyMap<number, FixedType> = new Map([
  [16, { width: 1, put: putBoolean }],
  [20, { width: 8, put: putInt64 }],
  [21, { width: 2, put: putInt16 }],
  [23, { width: 4, put: putInt32 }],
  [26, { width: 4, put: putUint32 }],
  [701, { width: 8, put: putFloat64 }],
]);

/** Types whose binary form is their text, and the bytes before it. */
const TEXT_TYPES: ReadonlyMap<number, readonly number[]> = new Map([
  [25, []],
  [114, []],
  [1042, []],
  [1043, []],
  [3802, [1]],
]);

/**
 * The values at `index` of all rows as a binary array; undefined where the type, or one of the values, has no
 * such form.
 */
export function fixedArray(
  typeOid: number,
  rows: readonly (readonly unknown[])[],
  index: number,
): Buffer | undefined {
  const type = FIXED_TYPES.get(typeOid);
  if (type === undefined) return undefined;
  const { width } = type;
  const bytes = Buffer.allocUnsafeSlow(HEAD + rows.length * (LENGTH + width));
  const view = new DataView(bytes.buffer);
  let at = putHead(bytes, typeOid, rows.length);
  for (const row of rows) {
    const value = row[index];
    const isMissing = value === null || value === undefined;
    view.setInt32(at, isMissing ? -1 : width);
    at += LENGTH;
    if (isMissing) continue;
    if (!type.put(view, at, value)) return undefined;
    at += width;
  }
  return bytes.subarray(0, at);
}

/** The same for the values of one column that are already encoded. */
export function encodedArray(typeOid: number, values: readonly WireValue[]): Buffer | undefined {
  const prefix = TEXT_TYPES.get(typeOid);
  if (prefix !== undefined) return textArray(typeOid, prefix, values);
  const isBytea = typeOid === BYTEA_OID && values.every((value) => typeof value !== 'string');
  return isBytea ? bytesArray(values) : undefined;
}

/** Undefined where a value is bytes. */
function textArray(
  typeOid: number,
  prefix: readonly number[],
  values: readonly WireValue[],
): Buffer | undefined {
  let room = HEAD + values.length * (LENGTH + prefix.length);
  for (const value of values) {
    if (typeof value === 'string') room += roomOf(value);
    else if (value !== null) return undefined;
  }
  const bytes = Buffer.allocUnsafeSlow(room);
  let at = putHead(bytes, typeOid, values.length);
  for (const value of values) {
    if (typeof value !== 'string') {
      at = bytes.writeInt32BE(-1, at);
      continue;
    }
    let end = at + LENGTH;
    for (const byte of prefix) end = bytes.writeUInt8(byte, end);
    end = putText(bytes, end, value);
    bytes.writeInt32BE(end - at - LENGTH, at);
    at = end;
  }
  return bytes.subarray(0, at);
}

function bytesArray(values: readonly WireValue[]): Buffer {
  const room = values.reduce((sum, value) => sum + (value?.length ?? 0), HEAD + values.length * LENGTH);
  const bytes = Buffer.allocUnsafeSlow(room);
  let at = putHead(bytes, BYTEA_OID, values.length);
  for (const value of values) {
    at = bytes.writeInt32BE(value?.length ?? -1, at);
    if (typeof value === 'object') at += value?.copy(bytes, at) ?? 0;
  }
  return bytes;
}

function putHead(bytes: Buffer, typeOid: number, count: number): number {
  // One dimension; elements may be NULL; the first one has the number 1.
  let at = bytes.writeInt32BE(1, 0);
  at = bytes.writeInt32BE(1, at);
  at = bytes.writeUInt32BE(typeOid, at);
  at = bytes.writeInt32BE(count, at);
  return bytes.writeInt32BE(1, at);
}

function putBoolean(view: DataView, at: number, value: unknown): boolean {
  if (typeof value !== 'boolean') return false;
  view.setUint8(at, value ? 1 : 0);
  return true;
}

function putInt16(view: DataView, at: number, value: unknown): boolean {
  if (typeof value !== 'number' || (value << 16) >> 16 !== value) return false;
  view.setInt16(at, value);
  return true;
}

function putInt32(view: DataView, at: number, value: unknown): boolean {
  if (typeof value !== 'number' || (value | 0) !== value) return false;
  view.setInt32(at, value);
  return true;
}

function putUint32(view: DataView, at: number, value: unknown): boolean {
  if (typeof value !== 'number' || value >>> 0 !== value) return false;
  view.setUint32(at, value);
  return true;
}

function putInt64(view: DataView, at: number, value: unknown): boolean {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) return false;
  view.setInt32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value >>> 0);
  return true;
}

function putFloat64(view: DataView, at: number, value: unknown): boolean {
  if (typeof value !== 'number') return false;
  // As a text, -0 is 0.
  view.setFloat64(at, value + 0);
  return true;
}
