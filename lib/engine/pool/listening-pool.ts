import type { PoolEvents } from './pool-events.js';
import { PoolObserver } from './pool-observer.js';

/** The side of a pool that tells what happens in it. */
export abstract class ListeningPool {
  #watch = new PoolObserver();

  /**
   * Adds a listener; see {@link PoolEvents}. Refused with `ArgumentError` where it is async and nothing would
   * wait.
   */
  on<Name extends keyof PoolEvents>(event: Name, listener: PoolEvents[Name]): this {
    this.#watch.hub.on(event, listener);
    return this;
  }

  /** Adds a listener that is called once. */
  once<Name extends keyof PoolEvents>(event: Name, listener: PoolEvents[Name]): this {
    this.#watch.hub.on(event, listener, true);
    return this;
  }

  /** Takes a listener away. */
  off<Name extends keyof PoolEvents>(event: Name, listener: PoolEvents[Name]): this {
    this.#watch.hub.off(event, listener);
    return this;
  }

  /** For the engine, which has the logger. @internal */
  get observer(): PoolObserver {
    return this.#watch;
  }

  /** Gives a new pool the listeners of this one. */
  protected heir<P extends ListeningPool>(pool: P): P {
    const other: ListeningPool = pool;
    other.#watch = this.#watch.renew();
    return pool;
  }
}
