import { tracingChannel } from 'node:diagnostics_channel';
import { metrics, SpanKind, trace, type Span, type Tracer } from '@opentelemetry/api';
import type {
  AcquireEvent,
  AsyncConnection,
  AsyncEngine,
  BeforeCursorExecuteEvent,
  CommandReplacement,
  ConnectTrace,
  StatementEvent,
  TransactionEvent,
} from '../engine/index.js';
import { instrumentationOf, type InstrumentationOptions } from './instrumentation-options.js';
import { EngineMetrics } from './metrics.js';
import { TransactionContexts } from './span-context.js';
import { endSpan, roleOf, traceparentOf } from './span-end.js';
import { withComment } from './sql-comment.js';
import { StatementSpans } from './statement-spans.js';
import { TransactionSpans } from './transaction-spans.js';

type Statement = StatementEvent<AsyncConnection>;
type Transaction = TransactionEvent<AsyncConnection>;
type Sent = BeforeCursorExecuteEvent<AsyncConnection>;

const NAME = 'nest-async-engine';

/**
 * Gives OpenTelemetry the spans and metrics of an engine, and of the engines made of it by
 * `executionOptions()`, until the function that it returns is called.
 *
 * A span for each statement, for each transaction, with its savepoints as children, and for each wait for a
 * connection; metrics of statements, transactions and the pool, by the semantic conventions for databases.
 *
 * @throws ArgumentError for what is no engine, and for a wrong option.
 *
 * @example
 * ```ts
 * import { instrument } from 'nest-async-engine/opentelemetry';
 *
 * const stop = instrument(engine, { sqlCommenter: true });
 * ```
 */
export function instrument(engine: AsyncEngine, given: InstrumentationOptions = {}): () => void {
  const options = instrumentationOf(engine, given);
  const tracer = (options.tracerProvider ?? trace).getTracer(NAME);
  const meter = (options.meterProvider ?? metrics).getMeter(NAME);
  const contexts = new TransactionContexts();
  const statements = new StatementSpans(tracer, contexts);
  const transactions = new TransactionSpans(tracer, contexts, options.propagate === 'application_name');
  const measured = new EngineMetrics(meter, engine);
  const isOurs = (event: { readonly engine: { readonly pool: object } | undefined }): boolean =>
    event.engine?.pool === engine.pool;

  const comment = (event: Sent): CommandReplacement | undefined =>
    commented(event, statements.sent(event as unknown as Statement));
  if (options.sqlCommenter === true) engine.on('beforeCursorExecute', comment);
  const stops = [
    follow<Statement>('statement', isOurs, {
      ...(options.sqlCommenter === true && { start: (event) => statements.started(event) }),
      asyncEnd: (event) => {
        const now = performance.now();
        measured.operation(now - event.startedAt, statements.ended(event, now));
      },
    }),
    follow<Transaction>('transaction', isOurs, {
      start: (event) => transactions.started(event),
      asyncEnd: (event) => {
        transactions.ended(event);
        measured.ended(event);
      },
    }),
    followAcquires(tracer, isOurs, measured),
    followConnects(isOurs, measured),
  ];
  let isOn = true;
  return () => {
    if (!isOn) return;
    isOn = false;
    for (const stop of stops) stop();
    measured.stop();
    if (options.sqlCommenter === true) engine.off('beforeCursorExecute', comment);
  };
}

// The sets of an executemany share one text, by which the driver knows them.
function commented(event: Sent, span: Span): CommandReplacement | undefined {
  if (event.isMany) return undefined;
  const action = labelOf(event.transactionEvent) ?? event.scope;
  return { sql: withComment(event.sql, { action, traceparent: traceparentOf(span) }) };
}

/** What the application calls the transaction, or one around it. */
function labelOf(event: Transaction | undefined): string | undefined {
  const { label } = event?.options ?? {};
  return typeof label === 'string' ? label : event && labelOf(event.parent);
}

function followConnects(isOurs: (event: ConnectTrace) => boolean, measured: EngineMetrics): () => void {
  return follow<ConnectTrace>('connect', isOurs, {
    asyncEnd: ({ duration = 0, error }) => error === undefined && measured.opened(duration),
  });
}

/** A span for each caller that has waited, in whose context it is told. */
function followAcquires(
  tracer: Tracer,
  isOurs: (event: AcquireEvent) => boolean,
  measured: EngineMetrics,
): () => void {
  return follow<AcquireEvent>('acquire', isOurs, {
    asyncEnd: (event) => {
      measured.acquired(event);
      if (!event.hasWaited) return;
      const { startedAt: startTime, error } = event;
      const attributes = { 'db.system.name': 'postgresql', ...roleOf(event) };
      const span = tracer.startSpan('acquire connection', { kind: SpanKind.INTERNAL, startTime, attributes });
      endSpan(span, error, { now: performance.now() });
    },
  });
}

function follow<Event extends object>(
  name: string,
  isOurs: (event: Event) => boolean,
  { start, asyncEnd }: { start?: (event: Event) => void; asyncEnd: (event: Event) => unknown },
): () => void {
  const channel = tracingChannel<unknown, Event>(`${NAME}:${name}`);
  // Each channel that has a subscriber is one more call for each event.
  const started = (event: unknown): void => void (isOurs(event as Event) && start?.(event as Event));
  const ended = (event: unknown): void => void (isOurs(event as Event) && asyncEnd(event as Event));
  if (start !== undefined) channel.start.subscribe(started);
  channel.asyncEnd.subscribe(ended);
  return () => {
    if (start !== undefined) channel.start.unsubscribe(started);
    channel.asyncEnd.unsubscribe(ended);
  };
}
