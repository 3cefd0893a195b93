/** Lets a drain wait until a collection is empty, or until its time is over. */
export class WhenEmpty {
  readonly #waiting = new Set<() => void>();

  /** To be called when the collection has become empty. */
  notify(): void {
    for (const resolve of this.#waiting) resolve();
  }

  /** Waits at most `timeout` ms for `notify()`; at once where `isEmpty` says so. */
  async wait(isEmpty: boolean, timeout: number): Promise<void> {
    if (isEmpty) return;
    let resolve!: () => void;
    const empty = new Promise<void>((done) => (resolve = done));
    this.#waiting.add(resolve);
    const timer = setTimeout(resolve, timeout);
    await empty;
    clearTimeout(timer);
    this.#waiting.delete(resolve);
  }
}
