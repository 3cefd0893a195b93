import { setTimeout as wait } from 'node:timers/promises';

/** A promise that somebody else resolves: `await latch.opened` here, `latch.open()` there. */
export class Latch<T = void> {
  readonly opened: Promise<T>;
  readonly open: (value: T) => void;

  constructor() {
    let open: (value: T) => void = () => undefined;
    this.opened = new Promise<T>((resolve) => {
      open = resolve;
    });
    this.open = open;
  }
}

/** A meeting point: `arrive()` resolves for everybody when the last of `parties` has come. */
export class Barrier {
  readonly #everybody = new Latch();
  #missing: number;

  constructor(parties: number) {
    this.#missing = parties;
  }

  arrive(): Promise<void> {
    this.#missing -= 1;
    if (this.#missing <= 0) this.#everybody.open();
    return this.#everybody.opened;
  }
}

/**
 * Repeats `assertion` until it passes and gives its value; after `timeoutMs` its last failure. Only for facts that no event
 * announces, such as a row of pg_stat_activity.
 */
export async function eventually<T>(assertion: () => T | Promise<T>, timeoutMs = 5_000): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await assertion();
    } catch (error) {
      if (performance.now() >= deadline) throw error;
    }
    await wait(10);
  }
}
