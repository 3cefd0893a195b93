import type { Subscriber } from 'rxjs';
import type { HandlerKind } from './handler-run.js';

/** The value of a handler that must not be answered before the COMMIT. */
export class HeldValue {
  readonly #values: HandlerKind['values'];
  readonly #out: Subscriber<unknown>;
  #held: readonly unknown[] = [];

  constructor(values: HandlerKind['values'], out: Subscriber<unknown>) {
    this.#values = values;
    this.#out = out;
  }

  take(value: unknown): void {
    if (this.#values === 'events') return this.#out.next(value);
    if (this.#values === 'each') this.#letGo();
    this.#held = [value];
    // A promise ends with its value, a stream goes on: what it gives must not lag behind.
    if (this.#values === 'each') setImmediate(() => this.#letGo());
  }

  /** The end has come: what is still held is for after the COMMIT. */
  keep(): readonly unknown[] {
    const held = this.#held;
    this.#held = [];
    return held;
  }

  drop(): void {
    this.#held = [];
  }

  #letGo(): void {
    for (const value of this.keep()) this.#out.next(value);
  }
}
