import { createHook, type AsyncHook } from 'node:async_hooks';
import { isLimit } from '../util/clock.js';
import type { PooledConnection } from './pooled-connection.js';

/** Resources that are no wait for something outside of the process's own code. */
const INTERNAL: ReadonlySet<string> = new Set(['PROMISE', 'Microtask', 'TickObject', 'Immediate']);

/** Tells which connections the code that runs now holds. */
export type Holding = () => readonly PooledConnection[];

/** What was started while `held` were held, and is not over. */
interface PendingWait {
  readonly held: readonly PooledConnection[];
  readonly resource: object;
}

/**
 * Sees whether work that holds a connection waits for something else than the pool: a timer, a socket, a
 * file. It looks while a deadlock is suspected and not longer, because it slows the promises of the process.
 */
export class HolderActivity {
  readonly #pending = new Map<number, PendingWait>();
  readonly #hook: AsyncHook;
  #observers = 0;

  constructor(holding: Holding) {
    this.#hook = createHook({
      init: (id, type, _trigger, resource) => {
        if (INTERNAL.has(type)) return;
        const held = holding();
        if (held.length > 0) this.#pending.set(id, { held, resource });
      },
      destroy: (id) => void this.#pending.delete(id),
    });
  }

  start(): void {
    this.#observers += 1;
    if (this.#observers === 1) this.#hook.enable();
  }

  stop(): void {
    this.#observers -= 1;
    if (this.#observers > 0) return;
    this.#hook.disable();
    this.#pending.clear();
  }

  /** True: a holder of one of `loans` has begun, since `start()`, to wait for something that is not over. */
  isWaitingElsewhere(loans: Iterable<PooledConnection>): boolean {
    const suspects = new Set(loans);
    return [...this.#pending.values()].some(
      ({ held, resource }) => !isLimit(resource) && held.some((loan) => suspects.has(loan)),
    );
  }
}
