import type { ResolvedTypes } from '../../types/types.js';
import { LruCache } from '../../../util/lru-cache.js';
import { RowLayout } from './row-builder.js';

const MOST_LAYOUTS = 500;

/** A column as pg's parser gives it. */
interface Column {
  readonly name: string;
  readonly dataTypeID: number;
}

/**
 * The layouts of the sessions of an engine, by their columns: each session is told of its statements by
 * itself, and of one without a name each time.
 */
export class RowLayouts {
  readonly #types: ResolvedTypes;
  readonly #known = new LruCache<string, RowLayout>(MOST_LAYOUTS);

  /** Of the types that were known when those were made. */
  #typesKnown = 0;

  constructor(types: ResolvedTypes) {
    this.#types = types;
  }

  of(columns: readonly Column[]): RowLayout {
    const { size } = this.#types.catalog;
    if (size !== this.#typesKnown) this.#known.clear();
    this.#typesKnown = size;
    // A name on the wire ends with NUL.
    const key = columns.map(({ name, dataTypeID }) => `${dataTypeID}\0${name}`).join('\0');
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const fields = columns.map(({ name, dataTypeID }) => ({ name, typeOid: dataTypeID }));
    const layout = new RowLayout(fields, this.#types);
    this.#known.set(key, layout);
    return layout;
  }
}
