import type { AsyncEngine } from '../../engine/index.js';

/** The shape of an `IEventPublisher` of `@nestjs/cqrs`. */
export interface EventPublisherLike<Event extends object> {
  /** Takes one event. */
  publish(event: Event, ...context: unknown[]): unknown;
}

/**
 * Hands events on to another publisher when the transaction around `publish()` is committed, and drops them
 * when it is rolled back; outside a transaction it hands them on at once. For `@nestjs/cqrs`:
 * `eventBus.publisher = new AfterCommitPublisher(engine, eventBus.publisher)`.
 */
export class AfterCommitPublisher<Event extends object = object> implements EventPublisherLike<Event> {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly next: EventPublisherLike<Event>,
  ) {}

  /** Hands `event` on with the commit of the active transaction. */
  publish(event: Event, ...context: unknown[]): void {
    this.engine.afterCommit(() => {
      this.next.publish(event, ...context);
    });
  }
}
