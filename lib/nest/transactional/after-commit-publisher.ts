import type { AsyncEngine } from '../../engine/index.js';

/** The shape of an `IEventPublisher` of `@nestjs/cqrs`. */
export interface EventPublisherLike<Event extends object> {
  /** Takes one event. */
  publish(event: Event, ...context: unknown[]): unknown;
}

/**
 * Hands events on to another publisher when the transaction around `publish()` is committed, and drops them
 * when it is rolled back; outside a transaction it hands them on at once.
 *
 * A publisher that answers with a promise is awaited: when it fails, the caller of the transaction gets an
 * `AfterCommitError`, and outside of transactions a line is logged. Handlers of the event run outside of the
 * request that published it, and may outlive it: there, inject the engine and not the connection.
 *
 * @example
 * ```ts
 * eventBus.publisher = new AfterCommitPublisher(engine, eventBus.publisher);
 * ```
 */
export class AfterCommitPublisher<Event extends object = object> implements EventPublisherLike<Event> {
  readonly #engine: AsyncEngine;
  readonly #next: EventPublisherLike<Event>;

  constructor(engine: AsyncEngine, next: EventPublisherLike<Event>) {
    this.#engine = engine;
    this.#next = next;
  }

  /** Hands `event` on with the commit of the active transaction. */
  publish(event: Event, ...context: unknown[]): void {
    // Handlers are started and not awaited: they must not depend on the request, which may end before them.
    const handOn = (): unknown => this.#engine.runDetached(() => this.#next.publish(event, ...context));
    this.#engine.afterCommit(async () => void (await handOn()));
  }
}
