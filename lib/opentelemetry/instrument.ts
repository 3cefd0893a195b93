import { tracingChannel } from 'node:diagnostics_channel';
import { context, metrics, SpanKind, trace } from '@opentelemetry/api';
import type { Context, Span, Tracer } from '@opentelemetry/api';
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
import { INSTRUMENTATION_OPTIONS } from './instrumentation-options.js';
import type { InstrumentationOptions } from './instrumentation-options.js';
import { EngineMetrics } from './metrics.js';
import { TransactionContexts } from './span-context.js';
import { endSpan, traceparentOf } from './span-end.js';
import { withComment } from './sql-comment.js';
import { StatementSpans } from './statement-spans.js';
import { TransactionSpans } from './transaction-spans.js';

type Statement = StatementEvent<AsyncConnection>;
type Transaction = TransactionEvent<AsyncConnection>;
type Sent = BeforeCursorExecuteEvent<AsyncConnection>;

const NAME = 'nest-async-engine';
const nothing = (): void => undefined;

/**
 * Gives OpenTelemetry the spans and metrics of an engine, and of the engines made of it by
 * `executionOptions()`, until the function that it returns is called.
 *
 * A span for each statement, for each transaction, with its savepoints as children, and for each wait for a
 * connection; metrics of statements, transactions and the pool, by the semantic conventions for databases.
 *
 * @throws ArgumentError for a wrong option.
 *
 * @example
 * ```ts
 * import { instrument } from 'nest-async-engine/opentelemetry';
 *
 * const stop = instrument(engine, { sqlCommenter: true });
 * ```
 */
export function instrument(engine: AsyncEngine, given: InstrumentationOptions = {}): () => void {
  const options = INSTRUMENTATION_OPTIONS.parse(given);
  const tracer = (options.tracerProvider ?? trace).getTracer(NAME);
  const meter = (options.meterProvider ?? metrics).getMeter(NAME);
  const contexts = new TransactionContexts();
  const statements = new StatementSpans(tracer, contexts);
  const transactions = new TransactionSpans(tracer, contexts, options.propagate === 'application_name');
  const measured = new EngineMetrics(meter, engine);
  const isOurs = (event: { readonly engine: { readonly pool: object } | undefined }): boolean =>
    event.engine?.pool === engine.pool;

  const sent = (event: Sent): CommandReplacement | undefined => {
    const span = statements.sent(event as unknown as Statement);
    return options.sqlCommenter === true ? commented(event, span) : undefined;
  };
  engine.on('beforeCursorExecute', sent);
  const stops = [
    follow<Statement>('statement', isOurs, {
      start: (event) => statements.started(event),
      asyncEnd: (event) => measured.operation(performance.now() - event.startedAt, statements.ended(event)),
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
    engine.off('beforeCursorExecute', sent);
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
    start: nothing,
    asyncEnd: ({ duration = 0, error }) => error === undefined && measured.opened(duration),
  });
}

/** A span for each caller that has waited. */
function followAcquires(
  tracer: Tracer,
  isOurs: (event: AcquireEvent) => boolean,
  measured: EngineMetrics,
): () => void {
  const callers = new WeakMap<AcquireEvent, { readonly caller: Context; readonly startTime: number }>();
  return follow<AcquireEvent>('acquire', isOurs, {
    start: (event) => {
      if (event.hasWaited) callers.set(event, { caller: context.active(), startTime: Date.now() });
    },
    asyncEnd: (event) => {
      measured.acquired(event);
      const waited = callers.get(event);
      if (waited === undefined) return;
      const { caller, startTime } = waited;
      const attributes = { 'db.system.name': 'postgresql' };
      endSpan(
        tracer.startSpan('acquire connection', { kind: SpanKind.INTERNAL, startTime, attributes }, caller),
        event.error,
      );
    },
  });
}

function follow<Event extends object>(
  name: string,
  isOurs: (event: Event) => boolean,
  { start, asyncEnd }: Record<'start' | 'asyncEnd', (event: Event) => unknown>,
): () => void {
  const channel = tracingChannel<unknown, Event>(`${NAME}:${name}`);
  // Each channel that has a subscriber is one more call for each event.
  const started = (event: unknown): void => void (isOurs(event as Event) && start(event as Event));
  const ended = (event: unknown): void => void (isOurs(event as Event) && asyncEnd(event as Event));
  channel.start.subscribe(started);
  channel.asyncEnd.subscribe(ended);
  return () => {
    channel.start.unsubscribe(started);
    channel.asyncEnd.unsubscribe(ended);
  };
}
