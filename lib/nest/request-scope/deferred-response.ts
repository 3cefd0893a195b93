/**
 * `last`: one value is answered, the last. `each`: every value goes out. `events`: every value goes out at
 * once, whatever follows it.
 */
export type HandlerValues = 'last' | 'each' | 'events';

/** The values of a handler that must not be answered before the COMMIT. */
export class DeferredResponse {
  readonly #values: HandlerValues;
  readonly #answer: (value: unknown) => void;
  #held: readonly unknown[] = [];
  #state: 'empty' | 'used' = 'empty';

  constructor(values: HandlerValues, answer: (value: unknown) => void) {
    this.#values = values;
    this.#answer = answer;
  }

  /** True: the handler has given nothing yet. */
  get isEmpty(): boolean {
    return this.#state === 'empty';
  }

  take(value: unknown): void {
    this.#state = 'used';
    if (this.#values === 'events') return this.#answer(value);
    if (this.#values === 'each') this.#flush();
    this.#held = [value];
    // A promise ends with its value. A stream goes on: what it gives must not lag behind.
    if (this.#values === 'each') setImmediate(() => this.#flush());
  }

  /** The handler has ended: what is still held is for after the COMMIT. */
  takeAll(): readonly unknown[] {
    const held = this.#held;
    this.#held = [];
    return held;
  }

  #flush(): void {
    for (const value of this.takeAll()) this.#answer(value);
  }
}
