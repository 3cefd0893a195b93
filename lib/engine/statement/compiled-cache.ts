import { ArgumentError } from '../errors.js';
import type { TextTemplate } from './text-scanner.js';

/** The SQL of a `text()`, or the strings of one place in the source where sql`` is written. */
export type CompiledKey = string | TemplateStringsArray;

interface Entry {
  readonly key: CompiledKey;
  readonly template: TextTemplate;
  newer: Entry | undefined;
  older: Entry | undefined;
}

/**
 * The compiled forms of the statements used last.
 *
 * Holds at most `limit` of them and drops the one that was not used for the longest time; 0 keeps nothing. A hit costs
 * one look-up: the order is a linked list, because taking a key out of a `Map` and putting it back makes it rehash.
 */
export class CompiledCache {
  /** How many forms are kept at most. */
  readonly limit: number;
  readonly #entries = new Map<CompiledKey, Entry>();
  #newest: Entry | undefined;
  #oldest: Entry | undefined;
  #hits = 0;
  #misses = 0;

  /** @throws ArgumentError when `limit` is no whole number from 0. */
  constructor(limit = 500) {
    if (!Number.isSafeInteger(limit) || limit < 0) {
      throw new ArgumentError(
        `the size of the compiled cache must be a whole number, 0 or more, got ${String(limit)}. 0 turns the cache off.`,
      );
    }
    this.limit = limit;
  }

  /** How many forms are kept now. */
  get size(): number {
    return this.#entries.size;
  }

  /** How often a form was found, since the cache was made. */
  get hits(): number {
    return this.#hits;
  }

  /** How often one was looked for and had to be made. */
  get misses(): number {
    return this.#misses;
  }

  /** @internal */
  get(key: CompiledKey): TextTemplate | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) {
      this.#misses += 1;
      return undefined;
    }
    this.#hits += 1;
    if (entry !== this.#newest) {
      this.#unlink(entry);
      this.#append(entry);
    }
    return entry.template;
  }

  /** Looks without counting as a use. @internal */
  peek(key: CompiledKey): TextTemplate | undefined {
    return this.#entries.get(key)?.template;
  }

  /** @internal */
  set(key: CompiledKey, template: TextTemplate): void {
    if (this.limit === 0) return;
    const former = this.#entries.get(key);
    if (former !== undefined) this.#unlink(former);
    const entry: Entry = { key, template, newer: undefined, older: undefined };
    this.#entries.set(key, entry);
    this.#append(entry);
    if (this.#entries.size > this.limit && this.#oldest !== undefined) {
      this.#entries.delete(this.#oldest.key);
      this.#unlink(this.#oldest);
    }
  }

  /** Forgets all forms; `hits` and `misses` go on. */
  clear(): void {
    this.#entries.clear();
    this.#newest = undefined;
    this.#oldest = undefined;
  }

  #append(entry: Entry): void {
    entry.older = this.#newest;
    entry.newer = undefined;
    if (this.#newest === undefined) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
  }

  #unlink(entry: Entry): void {
    if (entry.older === undefined) this.#oldest = entry.newer;
    else entry.older.newer = entry.newer;
    if (entry.newer === undefined) this.#newest = entry.older;
    else entry.newer.older = entry.older;
  }
}
