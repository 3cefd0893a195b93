import { context, SpanKind } from '@opentelemetry/api';
import type { Attributes, Context, Span, Tracer } from '@opentelemetry/api';
import type { AsyncConnection, StatementEvent } from '../engine/index.js';
import { LruCache } from '../engine/util/lru-cache.js';
import { endSpan, failureOf } from './span-end.js';
import { summarize } from './query-summary.js';
import type { QuerySummary } from './query-summary.js';
import type { TransactionContexts } from './span-context.js';

type Statement = StatementEvent<AsyncConnection>;

/** Texts whose summary is kept. */
const MOST_TEXTS = 500;

/** A statement on its way. */
interface Pending {
  /** The context of the caller. */
  readonly caller: Context;
  readonly startTime: number;
  span?: Span;
  attributes?: Attributes;
}

/** The spans of statements: begun with the call, named when the statement leaves. */
export class StatementSpans {
  readonly #tracer: Tracer;
  readonly #transactions: TransactionContexts;
  readonly #pending = new WeakMap<Statement, Pending>();
  readonly #summaries = new LruCache<string, QuerySummary>(MOST_TEXTS);

  constructor(tracer: Tracer, transactions: TransactionContexts) {
    this.#tracer = tracer;
    this.#transactions = transactions;
  }

  started(event: Statement): void {
    this.#pending.set(event, { caller: context.active(), startTime: Date.now() });
  }

  /** It is about to leave, in the transaction that it says. */
  sent(event: Statement): Span {
    const pending = this.#pending.get(event) ?? { caller: context.active(), startTime: Date.now() };
    this.#pending.set(event, pending);
    const query = this.#summaryOf(event.sql ?? (typeof event.statement === 'string' ? event.statement : ''));
    const { startTime, caller } = pending;
    pending.attributes = attributesOf(event, query);
    const attributes = { ...pending.attributes, 'db.query.text': query.text };
    pending.span = this.#tracer.startSpan(
      query.summary || 'postgresql',
      { kind: SpanKind.CLIENT, startTime, attributes },
      this.#transactions.parentIn(event.transactionEvent, caller),
    );
    return pending.span;
  }

  /** Gives what its duration is counted by. */
  ended(event: Statement): Attributes {
    // What was refused before it left has a span, too.
    const span = this.#pending.get(event)?.span ?? this.sent(event);
    const failure = failureOf(event.error);
    const attributes = { ...this.#pending.get(event)?.attributes, ...failure };
    this.#pending.delete(event);
    endSpan(span, event.error, failure);
    return attributes;
  }

  #summaryOf(sql: string): QuerySummary {
    const known = this.#summaries.get(sql);
    if (known !== undefined) return known;
    const summary = summarize(sql);
    this.#summaries.set(sql, summary);
    return summary;
  }
}

function attributesOf(event: Statement, query: QuerySummary | undefined): Attributes {
  const { server, engine, isMany, parameters } = event;
  const size = isMany && Array.isArray(parameters) ? parameters.length : 0;
  const operation = query?.operation ?? '';
  return {
    'db.system.name': 'postgresql',
    'db.namespace': server?.database ?? engine.url.database,
    'db.operation.name': size > 1 ? `BATCH ${operation}` : operation || undefined,
    'db.query.summary': query?.summary || undefined,
    'db.operation.batch.size': size > 1 ? size : undefined,
    'server.address': server?.host,
    'server.port': server?.port,
  };
}
