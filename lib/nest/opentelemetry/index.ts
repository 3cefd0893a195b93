/**
 * Spans and metrics of the database for OpenTelemetry (`@opentelemetry/api`).
 *
 * @module nest-async-engine/opentelemetry
 */
export { instrument } from '../../opentelemetry/instrument.js';
export type { InstrumentationOptions } from '../../opentelemetry/instrumentation-options.js';
export { DatabaseOpenTelemetryModule } from './database-opentelemetry.module.js';
export type { DatabaseOpenTelemetryOptions } from './database-opentelemetry.module.js';
