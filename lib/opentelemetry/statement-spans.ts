import { context, SpanKind } from '@opentelemetry/api';
import type { Attributes, Context, Span, Tracer } from '@opentelemetry/api';
import type { AsyncConnection, StatementEvent } from '../engine/index.js';
import { LruCache } from '../engine/util/lru-cache.js';
import { endSpan, failureOf } from './span-end.js';
import { summarize } from './query-summary.js';
import type { QuerySummary } from './query-summary.js';
import type { TransactionContexts } from './span-context.js';

type Statement = StatementEvent<AsyncConnection>;

/** Texts whose attributes are kept. */
const MOST_TEXTS = 500;

/** A statement on its way, on its event: a WeakMap costs more. */
const PENDING = Symbol('nest-async-engine: the span of a statement');

interface Pending {
  /** The context of the caller. */
  readonly caller: Context;
  readonly startTime: number;
  span?: Span;
  /** What its duration is counted by. */
  attributes?: Attributes;
}

type Followed = Statement & { [PENDING]?: Pending | undefined };

/** What is said of each statement of one text on one server. */
interface TextFacts extends QuerySummary {
  readonly server: Statement['server'];
  readonly engine: Statement['engine'];
  readonly attributes: Attributes;
  readonly spanAttributes: Attributes;
}

/** The spans of statements: begun with the call, named when the statement leaves. */
export class StatementSpans {
  readonly #tracer: Tracer;
  readonly #transactions: TransactionContexts;
  readonly #texts = new LruCache<string, TextFacts>(MOST_TEXTS);

  constructor(tracer: Tracer, transactions: TransactionContexts) {
    this.#tracer = tracer;
    this.#transactions = transactions;
  }

  started(event: Followed): void {
    event[PENDING] = { caller: context.active(), startTime: Date.now() };
  }

  /** It is about to leave, in the transaction that it says. */
  sent(event: Followed): Span {
    const pending = (event[PENDING] ??= { caller: context.active(), startTime: Date.now() });
    const facts = this.#factsOf(event);
    const size = event.isMany && Array.isArray(event.parameters) ? event.parameters.length : 0;
    const batch = size > 1 ? batchOf(facts, size) : undefined;
    pending.attributes = batch === undefined ? facts.attributes : { ...facts.attributes, ...batch };
    const { startTime, caller } = pending;
    const attributes = batch === undefined ? facts.spanAttributes : { ...facts.spanAttributes, ...batch };
    pending.span = this.#tracer.startSpan(
      facts.summary || 'postgresql',
      { kind: SpanKind.CLIENT, startTime, attributes },
      this.#transactions.parentIn(event.transactionEvent, caller),
    );
    return pending.span;
  }

  /** Gives what its duration is counted by. */
  ended(event: Followed): Attributes {
    // What was refused before it left has a span, too.
    const span = event[PENDING]?.span ?? this.sent(event);
    const { attributes = {} } = event[PENDING] ?? {};
    event[PENDING] = undefined;
    if (event.error === undefined) {
      span.end();
      return attributes;
    }
    const failure = failureOf(event.error);
    endSpan(span, event.error, failure);
    return { ...attributes, ...failure };
  }

  #factsOf({ sql, statement, server, engine }: Statement): TextFacts {
    const text = sql ?? (typeof statement === 'string' ? statement : '');
    const known = this.#texts.get(text);
    if (known !== undefined && known.engine === engine && isSame(known.server, server)) return known;
    const query = known ?? summarize(text);
    const attributes = attributesOf(query, server, engine);
    const spanAttributes = { ...attributes, 'db.query.text': query.text };
    const facts = { ...query, server, engine, attributes, spanAttributes };
    this.#texts.set(text, facts);
    return facts;
  }
}

function isSame(one: Statement['server'], other: Statement['server']): boolean {
  return (
    one === other ||
    (one?.host === other?.host && one?.port === other?.port && one?.database === other?.database)
  );
}

function batchOf({ operation }: QuerySummary, size: number): Attributes {
  return { 'db.operation.name': `BATCH ${operation}`, 'db.operation.batch.size': size };
}

/** Without those that are not known: the SDK looks at each key. */
function attributesOf(
  { operation, summary }: QuerySummary,
  server: Statement['server'],
  engine: Statement['engine'],
): Attributes {
  const attributes = {
    'db.system.name': 'postgresql',
    'db.namespace': server?.database ?? engine.url.database,
    'db.operation.name': operation || undefined,
    'db.query.summary': summary || undefined,
    'server.address': server?.host,
    'server.port': server?.port,
  };
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}
