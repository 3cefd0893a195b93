import type { AsyncConnection } from './connection/connection.js';
import { ENGINE_CONNECTION_TIMINGS } from './execution/connection-events.js';
import type { ConnectionEvents } from './execution/connection-events.js';
import { publish } from './util/channels.js';
import type { EngineEvents, EngineOwnEvents } from './engine-events.js';
import { InvalidRequestError } from './errors/errors.js';
import { EventHub } from './util/events.js';
import type { EventOf, ListenerTally } from './util/events.js';
import type { PoolObserver } from './pool/pool-observer.js';

const OWN_TIMINGS = { engineDisposed: 'sync', retry: 'sync' } as const;

/** The listeners of one engine; an engine that was made of another one has that one's too. */
export class EngineListeners<Engine> {
  readonly tally: ListenerTally;
  readonly connections: EventHub<ConnectionEvents<AsyncConnection>>;
  readonly #own: EventHub<EngineOwnEvents<Engine>>;
  readonly #pool: PoolObserver;

  constructor(pool: PoolObserver, parent?: EngineListeners<Engine>) {
    this.tally = parent?.tally ?? { count: 0 };
    this.connections = parent?.connections.child() ?? new EventHub(ENGINE_CONNECTION_TIMINGS, this.tally);
    // A tally of its own: no statement has to look at these.
    this.#own = parent === undefined ? new EventHub(OWN_TIMINGS, { count: 0 }) : parent.#own.child();
    this.#pool = pool;
  }

  add<Name extends keyof EngineEvents<Engine>>(
    name: Name,
    listener: EngineEvents<Engine>[Name],
    isOnce: boolean,
  ): void {
    this.#hubOf(name).on(name, listener, isOnce);
  }

  remove<Name extends keyof EngineEvents<Engine>>(name: Name, listener: EngineEvents<Engine>[Name]): void {
    this.#hubOf(name).off(name, listener);
  }

  emit<Name extends keyof EngineOwnEvents<Engine>>(
    name: Name,
    event: EventOf<EngineOwnEvents<Engine>, Name>,
  ): void {
    publish(name, event);
    this.#own.emit(name, event);
  }

  #hubOf(name: PropertyKey): ListenerPlace {
    const place = [this.#own, this.connections, this.#pool.hub].find((hub) => hub.has(name));
    if (place !== undefined) return place as ListenerPlace;
    throw new InvalidRequestError(
      `there is no event '${String(name)}' of an engine. See EngineEvents for those there are.`,
    );
  }
}

/** A hub, whatever its events are. */
interface ListenerPlace {
  on(name: PropertyKey, listener: unknown, isOnce: boolean): void;
  off(name: PropertyKey, listener: unknown): void;
}
