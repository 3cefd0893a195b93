/** Under which each object says of which copy of the package it is; the symbol is the same in all of them. */
export const COPY = Symbol.for('nest-async-engine.copy');

/** This copy. */
export const THIS_COPY: object = Object.freeze({});

/** True for an object or a class of another copy of this package, such as a CommonJS one. */
export function isOfAnotherCopy(value: unknown): boolean {
  try {
    const marked: unknown = typeof value === 'function' ? value.prototype : value;
    const copy = (marked as { readonly [COPY]?: object } | null | undefined)?.[COPY];
    return copy !== undefined && copy !== THIS_COPY;
  } catch {
    // A Proxy that refuses to be looked at.
    return false;
  }
}
