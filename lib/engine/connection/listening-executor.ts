import { CONNECTION_TIMINGS } from '../execution/connection-events.js';
import type { ConnectionEvents } from '../execution/connection-events.js';
import { InvalidRequestError } from '../errors/errors.js';
import type { EventHub } from '../util/events.js';
import type { ExecutionOptions } from '../execution/execution-options.js';
import { TransactionalExecutor } from './transactional-executor.js';
import type { ObserverFactory, ConnectionObserver } from '../execution/connection-observer.js';

/** A connection's own listeners, and what it tells to them and to those of its engine. */
export abstract class ListeningExecutor<Connection> extends TransactionalExecutor<Connection> {
  #hub: EventHub<ConnectionEvents<Connection>> | undefined;

  protected abstract readonly observers: ObserverFactory<Connection>;
  protected abstract readonly self: Connection;
  /** The options that hold for the statements of this connection: its own and those of its engine. */
  abstract getExecutionOptions(): Readonly<ExecutionOptions>;
  abstract invalidate(cause?: unknown): void;

  /**
   * Adds a listener for what happens on this connection; it is called before those of the engine. See
   * {@link ConnectionEvents}.
   *
   * @throws ArgumentError for an async listener, InvalidRequestError for an event that a connection does not
   * have.
   */
  on<Name extends keyof ConnectionEvents<Connection>>(
    event: Name,
    listener: ConnectionEvents<Connection>[Name],
  ): this {
    this.#listeners(event).on(event, listener);
    return this;
  }

  /** Adds a listener that is called once. */
  once<Name extends keyof ConnectionEvents<Connection>>(
    event: Name,
    listener: ConnectionEvents<Connection>[Name],
  ): this {
    this.#listeners(event).on(event, listener, true);
    return this;
  }

  /** Takes a listener of this connection away. */
  off<Name extends keyof ConnectionEvents<Connection>>(
    event: Name,
    listener: ConnectionEvents<Connection>[Name],
  ): this {
    this.#listeners(event).off(event, listener);
    return this;
  }

  #listeners(event: keyof ConnectionEvents<Connection>): EventHub<ConnectionEvents<Connection>> {
    if (event === 'handleError') {
      throw new InvalidRequestError(
        "the event 'handleError' is told to the engine's listeners alone. Add this one to the engine.",
      );
    }
    this.#hub ??= this.observers.parts.hub.child(CONNECTION_TIMINGS);
    return this.#hub;
  }

  /** A closed connection has nothing to tell, and must not make its engine believe that somebody listens. */
  protected forgetListeners(): void {
    this.#hub?.clear();
  }

  /** Undefined while nobody wants to know. @internal */
  get observer(): ConnectionObserver<Connection> | undefined {
    const { observers } = this;
    if (!observers.isObserved) return undefined;
    return observers.of({
      connection: this.self,
      hub: this.#hub ?? observers.parts.hub,
      options: () => this.getExecutionOptions(),
      invalidate: (cause) => this.invalidate(cause),
    });
  }

  protected callerObserver(): ConnectionObserver<Connection> | undefined {
    return this.observer;
  }

  protected replacementOf(error: unknown): unknown {
    return this.observers.parts.replacements.get(error) ?? error;
  }

  protected get shownParameters(): 'values' | 'hidden' | undefined {
    return this.observers.shownParameters;
  }
}
