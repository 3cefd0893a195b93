import { ArgumentError } from '../../../errors/errors.js';
import { STATEMENT_BRAND } from '../../../statement/row.js';
import { isThenable } from '../../../util/option-rule.js';
import { types } from '../../../errors/node-modules.js';
import { describeKind } from '../../../util/describe-value.js';
import { isOfAnotherCopy } from '../../../errors/copies.js';

const STATEMENT =
  'SQL made by sql or text(), and no value. Write it into a sql`…`, several of them by sql.join(list).';

/** Makes the text of a value that is sent as JSON. */
export type JsonSerializer = (value: unknown) => string;

/** Deeper than that, JSON.stringify has run out of stack already. */
const DEEPEST = 5_000;

/**
 * The JSON of an object or a list, with everything that is in it.
 *
 * @throws ArgumentError for what JSON would drop, or make something else of, without a word.
 */
export function jsonText(value: object, serializeJson: JsonSerializer | undefined): string {
  if (isThenable(value)) throw new ArgumentError('it is a promise. Await it.');
  if (STATEMENT_BRAND in value) throw new ArgumentError(`it is ${misplaced(value)}`);
  // The application's own serializer may know what to do with a Map.
  const json: unknown = serializeJson === undefined ? JSON.stringify(value) : serializeJson(value);
  if (typeof json !== 'string') {
    const by = serializeJson === undefined ? 'its toJSON()' : "the engine's jsonSerializer";
    throw new ArgumentError(`${by} returned nothing that can be sent.`);
  }
  if (serializeJson === undefined) expectJson(value, 0);
  return json;
}

function misplaced(statement: object): string {
  return isOfAnotherCopy(statement) ? `${describeKind(statement)}.` : STATEMENT;
}

/** `new String('a')`, of any realm: JSON and PostgreSQL get what is in it. */
export function isBoxed(value: object): boolean {
  return types.isStringObject(value) || types.isNumberObject(value) || types.isBooleanObject(value);
}

/** `depth` 0 is the value itself. */
function expectJson(value: unknown, depth: number): void {
  if (typeof value === 'number') {
    if (!Number.isFinite(value))
      throw new ArgumentError(`${value} is inside it, which JSON would make null.`);
    return;
  }
  if (typeof value !== 'object' || value === null || depth > DEEPEST) return;
  if (isThenable(value))
    throw new ArgumentError(depth === 0 ? 'it is a promise. Await it.' : 'a promise is inside it. Await it.');
  if (STATEMENT_BRAND in value) throw new ArgumentError(`inside it is ${misplaced(value)}`);
  if (Array.isArray(value)) return expectItems(value, depth);
  if (isBoxed(value)) return expectJson(value.valueOf(), depth + 1);
  if ('toJSON' in value && typeof value.toJSON === 'function') return expectOwnJson(value, depth);
  expectData(value);
  for (const inner of Object.values(value)) expectJson(inner, depth + 1);
}

function expectItems(items: readonly unknown[], depth: number): void {
  for (const item of items) {
    // JSON leaves out such a member of an object, as it does with methods; in a list its place becomes null.
    if (typeof item === 'function' || typeof item === 'symbol')
      throw new ArgumentError(`a ${typeof item} is inside it, which JSON would make null.`);
    expectJson(item, depth + 1);
  }
}

/** A Date, a Buffer, or an object that says itself what its JSON is. */
function expectOwnJson(value: object & { toJSON?: unknown }, depth: number): void {
  if (types.isDate(value)) {
    if (Number.isNaN(value.getTime())) throw new ArgumentError('an invalid Date is inside it.');
    return;
  }
  if (Buffer.isBuffer(value)) return;
  const own: unknown = (value as { toJSON(key: string): unknown }).toJSON('');
  // JSON doesn't ask twice.
  if (own !== value) expectJson(own, depth + 1);
}

function expectData(value: object): void {
  const prototype: unknown = Object.getPrototypeOf(value);
  // `Object.prototype` is known by having no prototype itself: a vm has its own.
  if (prototype === null || Object.getPrototypeOf(prototype) === null) return;
  if (!isMade(value) && Object.keys(value).length > 0) return;
  throw new ArgumentError(
    `it is an object of class ${classOf(value)}, which JSON can't hold. ` +
      `Convert it to a plain object, an array or a string.`,
  );
}

/** True: an object of the language, of which JSON has nothing but what was added to it. */
function isMade(value: object): boolean {
  return (
    ArrayBuffer.isView(value) ||
    types.isMap(value) ||
    types.isSet(value) ||
    types.isRegExp(value) ||
    types.isNativeError(value) ||
    value instanceof Error ||
    types.isAnyArrayBuffer(value) ||
    types.isWeakMap(value) ||
    types.isWeakSet(value) ||
    value instanceof WeakRef
  );
}

function classOf(value: object): string {
  const { name } = (value.constructor ?? {}) as { readonly name?: unknown };
  return typeof name === 'string' && name !== '' ? name : Object.prototype.toString.call(value).slice(8, -1);
}
