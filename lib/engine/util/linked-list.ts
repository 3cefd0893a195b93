export interface ListNode<T> {
  readonly value: T;
  previous: ListNode<T> | undefined;
  next: ListNode<T> | undefined;
}

/** A queue with removal from the middle: every operation takes the same time, however long the queue is. */
export class LinkedList<T> {
  #first: ListNode<T> | undefined;
  #last: ListNode<T> | undefined;
  /** How many there are; changed here alone. */
  size = 0;

  get first(): T | undefined {
    return this.#first?.value;
  }

  get last(): T | undefined {
    return this.#last?.value;
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let node = this.#first; node !== undefined; node = node.next) yield node.value;
  }

  push(value: T): ListNode<T> {
    const node: ListNode<T> = { value, previous: undefined, next: undefined };
    this.append(node);
    return node;
  }

  /** Takes out a node of this list; once. */
  remove(node: ListNode<T>): void {
    if (node.previous === undefined) this.#first = node.next;
    else node.previous.next = node.next;
    if (node.next === undefined) this.#last = node.previous;
    else node.next.previous = node.previous;
    this.size -= 1;
  }

  /** A node of this list becomes its last. */
  moveToEnd(node: ListNode<T>): void {
    if (node === this.#last) return;
    this.remove(node);
    this.append(node);
  }

  /** A node of no list becomes the last of this one. */
  append(node: ListNode<T>): void {
    node.previous = this.#last;
    node.next = undefined;
    if (this.#last === undefined) this.#first = node;
    else this.#last.next = node;
    this.#last = node;
    this.size += 1;
  }
}
