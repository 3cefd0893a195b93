import type { ConnectionHost } from './connection-host.js';
import type { ConnectionOptions } from './connection-options.js';
import { InvalidRequestError } from '../errors/errors.js';
import { CONNECTION_TIMINGS, type ConnectionEvents } from '../execution/connection-events.js';
import type { ConnectionObserver } from '../execution/connection-observer.js';
import type { EventHub } from '../util/event-hub.js';

/** The listeners of one connection, and the observer that tells them and those of its engine what happens. */
export class ConnectionListeners<Connection> {
  readonly #host: ConnectionHost<Connection>;
  readonly #connection: Connection;
  readonly #options: ConnectionOptions;
  readonly #invalidate: (cause: unknown) => void;
  #hub: EventHub<ConnectionEvents<Connection>> | undefined;

  constructor(
    host: ConnectionHost<Connection>,
    connection: Connection,
    options: ConnectionOptions,
    invalidate: (cause: unknown) => void,
  ) {
    this.#host = host;
    this.#connection = connection;
    this.#options = options;
    this.#invalidate = invalidate;
  }

  /** Undefined while nothing observes the engine or this connection. */
  observer(): ConnectionObserver<Connection> | undefined {
    const { observers } = this.#host;
    if (!observers.parts.hub.isObserved) return undefined;
    return observers.of({
      connection: this.#connection,
      hub: this.#hub ?? observers.parts.hub,
      scope: this.#host.scope,
      options: () => this.#options.known,
      invalidate: this.#invalidate,
    });
  }

  /** Where the listeners of `event` are kept. */
  hubOf(event: keyof ConnectionEvents<Connection>): EventHub<ConnectionEvents<Connection>> {
    if (event === 'handleError') {
      throw new InvalidRequestError(
        "'handleError' is emitted on the engine only. Add the listener to the engine.",
      );
    }
    this.#hub ??= this.#host.observers.parts.hub.child(CONNECTION_TIMINGS);
    return this.#hub;
  }

  /** A closed connection emits nothing, and must not count as observed. */
  clear(): void {
    this.#hub?.clear();
  }
}
