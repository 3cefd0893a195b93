import { MAX_NAME_BYTES } from '../../../statement/identifier.js';
import { types } from '../../../errors/node-modules.js';

/** False: the type would cut the value off, in silence. */
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

/** By the oid of the type. */
const NARROW: ReadonlyMap<number, Fits> = new Map([
  [18, text((value) => Buffer.byteLength(value) <= 1)], // "char"
  [19, text((value) => Buffer.byteLength(value) <= MAX_NAME_BYTES)], // name
  [1042, text((value) => !value.endsWith(' '))], // char(n)
  [1082, fitsDate],
  [1083, fitsTime],
  [1114, fitsTimestamp],
]);

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
      const fits = NARROW.get(oid);
      return fits === undefined ? [] : [[index, fits] as const];
    });
    return narrow.length === 0 ? undefined : new NarrowTypes(narrow);
  }

  /** True: each value is kept whole. */
  keep(values: readonly unknown[]): boolean {
    return this.#fits.every(([index, fits]) => fits(values[index]));
  }
}
