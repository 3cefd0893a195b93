import { MAX_NAME_BYTES } from '../../../statement/identifier.js';
import { types } from '../../../errors/node-modules.js';
import { ELEMENT_OIDS } from '../../types/builtin-types.js';

/** False: the type would cut the value off, or make another one of it, in silence. */
type Fits = (value: unknown) => boolean;

const text =
  (fits: (value: string) => boolean): Fits =>
  (value) =>
    typeof value !== 'string' || fits(value);

const fitsTime = text((value) => /^[\d:.]*$/.test(value));
const fitsTimestamp = text((value) => !/:\d\d.*(?:[+-]\d\d(?::?\d\d)*|z)\s*$/i.test(value));

function fitsDate(value: unknown): boolean {
  if (typeof value === 'string')
    return !/[t\s]\d\d?:/i.test(value) || /[t\s]0?0:00(?::00(?:\.0*)?)?$/i.test(value);
  if (!types.isDate(value)) return true;
  return value.getHours() + value.getMinutes() + value.getSeconds() + value.getMilliseconds() === 0;
}

const digits =
  (fits: (value: string) => boolean): Fits =>
  (value) =>
    (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'bigint') ||
    fits(String(value));

const MOST_EXACT_DIGITS = 15;
const fitsDouble: Fits = (value) =>
  typeof value === 'number' ||
  digits((text) => text.replaceAll(/\D/g, '').length <= MOST_EXACT_DIGITS)(value);
const fitsSingle = digits((text) => {
  const number = Number(text);
  return Number.isNaN(number) || (Math.fround(number) === number && fitsDouble(text));
});
const fitsMoney = digits((text) => !/\.\d{3}|e/i.test(text));

/** By the oid of the type. */
const NARROW: ReadonlyMap<number, Fits> = new Map([
  [17, text((value) => value.startsWith(String.raw`\x`))], // bytea: what it makes text of is hexadecimal
  [18, text((value) => Buffer.byteLength(value) <= 1)], // "char"
  [19, text((value) => Buffer.byteLength(value) <= MAX_NAME_BYTES)], // name
  [700, fitsSingle], // float4
  [701, fitsDouble],
  [790, fitsMoney],
  [1042, text((value) => !value.endsWith(' '))], // char(n)
  [1082, fitsDate],
  [1083, fitsTime],
  [1114, fitsTimestamp],
]);

function ofElements(fits: Fits | undefined): Fits | undefined {
  if (fits === undefined) return undefined;
  const fitAll: Fits = (value) => (Array.isArray(value) ? value.every(fitAll) : fits(value));
  return fitAll;
}

/**
 * What a statement's parameters would cut off: a column whose type another program has made wider must not
 * get what the former type leaves of a value.
 */
export class NarrowTypes {
  readonly #fits: readonly (readonly [index: number, fits: Fits])[];

  private constructor(fits: readonly (readonly [number, Fits])[]) {
    this.#fits = fits;
  }

  /** Undefined where none of the types cuts values off. */
  static of(typeOids: readonly number[]): NarrowTypes | undefined {
    const narrow = typeOids.flatMap((oid, index) => {
      const fits = NARROW.get(oid) ?? ofElements(NARROW.get(ELEMENT_OIDS.get(oid) ?? 0));
      return fits === undefined ? [] : [[index, fits] as const];
    });
    return narrow.length === 0 ? undefined : new NarrowTypes(narrow);
  }

  /** True: each value is kept whole. */
  keep(values: readonly unknown[]): boolean {
    return this.#fits.every(([index, fits]) => fits(values[index]));
  }
}
