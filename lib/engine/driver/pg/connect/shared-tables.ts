import { completeTypes, resolveTypes, type ResolvedTypes, type TypeEntry } from '../../types/types.js';
import type { Slab } from '../wire/message-writer.js';
import { RowLayouts } from '../wire/row-layouts.js';

/** What the sessions of one engine would otherwise each have for themselves, although it is the same. */
export class SharedTables {
  /** What they write with. */
  readonly slabs: Slab[] = [];
  /** For what a session asks before it knows the types of the application. */
  readonly builtinTypes = resolveTypes();
  readonly #layouts = new WeakMap<ResolvedTypes, RowLayouts>();
  /** Of the last session that had others than the one before it. */
  #parameters: Map<string, string> = new Map();
  #completed: { readonly answer: string; readonly types: ResolvedTypes } | undefined;

  layoutsOf(types: ResolvedTypes): RowLayouts {
    const known = this.#layouts.get(types);
    if (known !== undefined) return known;
    const layouts = new RowLayouts(types);
    this.#layouts.set(types, layouts);
    return layouts;
  }

  /**
   * The types with what the database has answered of their names, which is the same as long as it is.
   *
   * @throws as `completeTypes()` does.
   */
  complete(types: ResolvedTypes, entries: readonly TypeEntry[]): ResolvedTypes {
    const answer = JSON.stringify(entries);
    if (this.#completed?.answer !== answer)
      this.#completed = { answer, types: completeTypes(types, entries) };
    return this.#completed.types;
  }

  /** The table of an earlier session that was told the same, or `values`. */
  sameAs(values: Map<string, string>): Map<string, string> {
    const known = this.#parameters;
    const isSame =
      known.size === values.size && [...values].every(([name, value]) => known.get(name) === value);
    if (!isSame) this.#parameters = values;
    return this.#parameters;
  }
}
