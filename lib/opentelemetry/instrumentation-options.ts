import type { MeterProvider, TracerProvider } from '@opentelemetry/api';
import type { AsyncEngine } from '../engine/index.js';
import { expectArgument } from '../engine/util/argument.js';
import { asItIs, flagRule, objectRule, oneOf, type OptionRule } from '../engine/util/option-rule.js';
import { OptionTable } from '../engine/util/option-table.js';

/** What OpenTelemetry gets of an engine, and what the server gets of OpenTelemetry. */
export interface InstrumentationOptions {
  /** Default: the global one. */
  readonly tracerProvider?: TracerProvider | undefined;
  /** Default: the global one. */
  readonly meterProvider?: MeterProvider | undefined;
  /**
   * Adds `traceparent` and the label of the transaction, or of the scope, as a comment to each statement, as
   * sqlcommenter does. A statement that is prepared keeps the comment of the run that prepared it. Default
   * false.
   */
  readonly sqlCommenter?: boolean | undefined;
  /**
   * `application_name`: each transaction has its traceparent as `application_name`, seen in
   * `pg_stat_activity` and in the log of the server. It travels with BEGIN. Default: nothing.
   */
  readonly propagate?: 'application_name' | undefined;
}

/** What each option may be. */
const INSTRUMENTATION_OPTIONS = new OptionTable<InstrumentationOptions>(
  'instrument',
  {
    tracerProvider: objectRule,
    meterProvider: objectRule,
    sqlCommenter: flagRule,
    propagate: oneOf('application_name'),
  },
  'refused',
);

const engineRule: OptionRule = {
  expected: 'an AsyncEngine',
  accepts: (value) => typeof (value as Partial<AsyncEngine> | null | undefined)?.rawConnection === 'function',
  coerce: asItIs,
};

/** @throws ArgumentError for what is no engine, and for a wrong option. */
export function instrumentationOf(engine: unknown, given: InstrumentationOptions): InstrumentationOptions {
  expectArgument('instrument()', engineRule, engine);
  return INSTRUMENTATION_OPTIONS.parse(given);
}
