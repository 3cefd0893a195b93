import { LinkedList, type ListNode } from './linked-list.js';

interface Entry<Key, Value> {
  readonly key: Key;
  readonly value: Value;
}

/**
 * The values that were used last, by their keys: the one that was not used for the longest time makes room.
 *
 * A hit costs one look-up: the order is a list, because taking a key out of a `Map` and putting it back makes
 * it rehash.
 */
export class LruCache<Key, Value> {
  /** How many values are kept at most. */
  readonly limit: number;
  readonly #nodes = new Map<Key, ListNode<Entry<Key, Value>>>();
  readonly #order = new LinkedList<Entry<Key, Value>>();

  constructor(limit: number) {
    this.limit = limit;
  }

  get size(): number {
    return this.#nodes.size;
  }

  keys(): MapIterator<Key> {
    return this.#nodes.keys();
  }

  get(key: Key): Value | undefined {
    const node = this.#nodes.get(key);
    if (node === undefined) return undefined;
    // Where it is not the last one already.
    if (node.next !== undefined) this.#order.moveToEnd(node);
    return node.value.value;
  }

  /** Looks without counting as a use. */
  peek(key: Key): Value | undefined {
    return this.#nodes.get(key)?.value.value;
  }

  /** Gives the value that had to make room. */
  set(key: Key, value: Value): Value | undefined {
    this.delete(key);
    this.#nodes.set(key, this.#order.push({ key, value }));
    const { first } = this.#order;
    return this.size > this.limit && first !== undefined ? this.delete(first.key) : undefined;
  }

  /** Gives the value that was there. */
  delete(key: Key): Value | undefined {
    const node = this.#nodes.get(key);
    if (node === undefined) return undefined;
    this.#nodes.delete(key);
    this.#order.remove(node);
    return node.value.value;
  }

  clear(): void {
    for (const key of this.#nodes.keys()) this.delete(key);
  }
}
