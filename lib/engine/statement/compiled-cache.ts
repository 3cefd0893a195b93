import { ArgumentError } from '../errors/errors.js';
import { LruCache } from '../util/lru-cache.js';
import type { TextTemplate } from './text-scanner.js';

/** The SQL of a `text()`, or the strings of one place in the source where sql`` is written. */
export type CompiledKey = string | TemplateStringsArray;

/** Characters of a text from which on its form is not kept: 500 of them would be hundreds of megabytes. */
const LONGEST_TEXT = 100_000;

/**
 * The compiled forms of the statements used last, but for those of texts over 100,000 characters.
 *
 * Holds at most `limit` of them and drops the one that was not used for the longest time; 0 keeps nothing.
 */
export class CompiledCache {
  /** How many forms are kept at most. */
  readonly limit: number;
  readonly #templates: LruCache<CompiledKey, TextTemplate>;
  #hits = 0;
  #misses = 0;

  /** @throws ArgumentError when `limit` is not a whole number from 0. */
  constructor(limit = 500) {
    if (!Number.isSafeInteger(limit) || limit < 0) {
      throw new ArgumentError(
        `the size of the compiled cache must be a whole number, 0 or more, got ${String(limit)}. 0 turns the cache off.`,
      );
    }
    this.limit = limit;
    this.#templates = new LruCache(limit);
  }

  /** How many forms are kept now. */
  get size(): number {
    return this.#templates.size;
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
    const template = this.#templates.get(key);
    if (template === undefined) this.#misses += 1;
    else this.#hits += 1;
    return template;
  }

  /** Looks without counting as a use. @internal */
  peek(key: CompiledKey): TextTemplate | undefined {
    return this.#templates.peek(key);
  }

  /** @internal */
  set(key: CompiledKey, template: TextTemplate): void {
    if (template.text.length <= LONGEST_TEXT) this.#templates.set(key, template);
  }

  /** Forgets all forms; `hits` and `misses` go on. */
  clear(): void {
    this.#templates.clear();
  }
}
