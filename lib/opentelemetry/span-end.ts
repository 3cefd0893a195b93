import { SpanStatusCode, trace, type Attributes, type Span } from '@opentelemetry/api';
import { DBAPIError, type ServerRole } from '../engine/index.js';
import { reasonOf } from '../engine/errors/thrown.js';

/** Where spans and metrics have the role of a server. */
const ROLE = 'nest_async_engine.server.role';

/** The role of a server where its engine has replicas; nothing else. */
export function roleOf({ role }: { readonly role?: ServerRole | undefined } = {}): Attributes {
  return role === undefined ? {} : { [ROLE]: role };
}

/** What a failure is called. */
export function failureOf(error: unknown): Attributes {
  if (error === undefined) return {};
  const state = error instanceof DBAPIError ? error.sqlState : undefined;
  const name = error instanceof Error ? error.name : '_OTHER';
  return { 'error.type': state ?? name, 'db.response.status_code': state };
}

/**
 * Ends a span, with the failure that it has ended with. `now`, by `performance.now()`, where its start is of
 * that clock: another one might be behind it.
 */
export function endSpan(
  span: Span,
  error: unknown,
  { failure = failureOf(error), now }: { readonly failure?: Attributes; readonly now?: number } = {},
): void {
  if (error !== undefined) {
    span.setAttributes(failure);
    // The message of an error shows values only where the engine's own log does.
    span.setStatus({
      code: SpanStatusCode.ERROR,
      message: reasonOf(error),
    });
  }
  span.end(now);
}

/** As W3C writes it; undefined where nothing is traced. */
export function traceparentOf(span: Span): string | undefined {
  const { traceId, spanId, traceFlags } = span.spanContext();
  if (!trace.isSpanContextValid(span.spanContext())) return undefined;
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}
