/** Which of some named values have changed since `settle()`, and what they were. Mostly none has. */
export class ChangedValues {
  /** Made with the first change. */
  #before: Map<string, string | undefined> | undefined;

  get size(): number {
    return this.#before?.size ?? 0;
  }

  has(name: string): boolean {
    return this.#before?.has(name) === true;
  }

  /** `name` was `before` until now, and is `value`: back to what it was, it has not changed. */
  note(name: string, before: string | undefined, value: string): void {
    if (!this.has(name)) {
      if (before !== value) (this.#before ??= new Map()).set(name, before);
    } else if (this.#before?.get(name) === value) this.#before.delete(name);
  }

  /** What the values are now is what they are compared with from here on. */
  settle(): void {
    this.#before = undefined;
  }
}
