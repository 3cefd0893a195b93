import { context, SpanKind, type Tracer } from '@opentelemetry/api';
import type { AsyncConnection, TransactionEvent } from '../engine/index.js';
import { endSpan, roleOf, traceparentOf } from './span-end.js';
import type { TransactionContexts } from './span-context.js';

type Transaction = TransactionEvent<AsyncConnection>;

/** The spans of transactions and, as their children, of savepoints. Their work runs inside of them. */
export class TransactionSpans {
  readonly #tracer: Tracer;
  readonly #contexts: TransactionContexts;
  /** True: the server sees the span as `application_name`. */
  readonly #isPropagated: boolean;

  constructor(tracer: Tracer, contexts: TransactionContexts, isPropagated: boolean) {
    this.#tracer = tracer;
    this.#contexts = contexts;
    this.#isPropagated = isPropagated;
  }

  started(event: Transaction): void {
    const around = this.#contexts.parentIn(event.parent);
    const failed = this.#contexts.spanOf(event.retryOf);
    const { label } = event.options;
    const kind = event.nested ? 'savepoint' : 'transaction';
    const span = this.#tracer.startSpan(
      typeof label === 'string' ? `${kind} ${label}` : kind,
      {
        kind: SpanKind.INTERNAL,
        attributes: { 'db.system.name': 'postgresql', 'db.namespace': event.engine.url.database },
        links: failed === undefined ? [] : [{ context: failed.spanContext() }],
      },
      around,
    );
    this.#contexts.set(event, span);
    const inside = this.#contexts.inside(event, span, around);
    const before = event.enter;
    event.enter = (work) => context.with(inside, before === undefined ? work : () => before(work));
    if (this.#isPropagated && !event.nested) this.#propagate(event, traceparentOf(span));
  }

  #propagate(event: Transaction, traceparent: string | undefined): void {
    if (traceparent !== undefined) event.settings = { ...event.settings, application_name: traceparent };
  }

  ended(event: Transaction): void {
    const span = this.#contexts.spanOf(event);
    if (span === undefined) return;
    span.setAttributes({
      'nest_async_engine.transaction.outcome': event.outcome,
      'server.address': event.server?.host,
      'server.port': event.server?.port,
      ...roleOf(event),
    });
    endSpan(span, event.error);
  }
}
