import { context, SpanKind, type Attributes, type Context, type Span, type Tracer } from '@opentelemetry/api';
import type { AsyncConnection, StatementEvent } from '../engine/index.js';
import { LruCache } from '../engine/util/lru-cache.js';
import { endSpan, failureOf, roleOf } from './span-end.js';
import { summarize, type QuerySummary } from './query-summary.js';
import type { TransactionContexts } from './span-context.js';

type Statement = StatementEvent<AsyncConnection>;

/** Texts whose attributes are kept. */
const MOST_TEXTS = 500;

/** What is known of a statement on its way stands on its event: a WeakMap costs more. */
const CALLER = Symbol('nest-async-engine: the context of a caller');
const SENT = Symbol('nest-async-engine: a statement that was sent');

type Followed = Statement & { [CALLER]?: Context; [SENT]?: Started };

/** What is said of each statement of one text on one server. */
interface TextFacts extends QuerySummary {
  readonly server: Statement['server'];
  readonly engine: Statement['engine'];
  readonly attributes: Attributes;
  readonly spanAttributes: Attributes;
}

interface Started {
  readonly span: Span;
  readonly facts: TextFacts;
}

/** The spans of statements, made at their end; before that only where something is sent with them. */
export class StatementSpans {
  readonly #tracer: Tracer;
  readonly #transactions: TransactionContexts;
  readonly #texts = new LruCache<string, TextFacts>(MOST_TEXTS);

  constructor(tracer: Tracer, transactions: TransactionContexts) {
    this.#tracer = tracer;
    this.#transactions = transactions;
  }

  /** For a span that is made before its end, where the context may be another one. */
  started(event: Followed): void {
    event[CALLER] = context.active();
  }

  /** The span of a statement that is about to leave, for what is sent with it. */
  sent(event: Followed): Span {
    const facts = this.#factsOf(event);
    const span = this.#start(event, facts);
    // Its text will have a comment that no other one has.
    event[SENT] = { span, facts };
    return span;
  }

  /** Gives what its duration is counted by. `now`: by `performance.now()`. */
  ended(event: Followed, now: number): Attributes {
    const { facts = this.#factsOf(event), span = this.#start(event, facts) } = event[SENT] ?? {};
    const attributes = withBatch(event, facts, facts.attributes);
    if (event.error === undefined) {
      span.end(now);
      return attributes;
    }
    const failure = failureOf(event.error);
    endSpan(span, event.error, { failure, now });
    return { ...attributes, ...failure };
  }

  #start(event: Followed, facts: TextFacts): Span {
    return this.#tracer.startSpan(
      facts.summary || 'postgresql',
      {
        kind: SpanKind.CLIENT,
        startTime: event.startedAt,
        attributes: withBatch(event, facts, facts.spanAttributes),
      },
      this.#transactions.parentIn(event.transactionEvent, event[CALLER]),
    );
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
    (one?.host === other?.host &&
      one?.port === other?.port &&
      one?.database === other?.database &&
      one?.role === other?.role)
  );
}

function withBatch(
  { isMany, setCount }: Statement,
  { operation }: TextFacts,
  attributes: Attributes,
): Attributes {
  if (!isMany || setCount < 2) return attributes;
  return { ...attributes, 'db.operation.name': `BATCH ${operation}`, 'db.operation.batch.size': setCount };
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
    ...roleOf(server),
  };
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}
