import { Inject, Injectable, Module, type DynamicModule, type OnApplicationShutdown } from '@nestjs/common';
import type { AsyncEngine } from '../../engine/index.js';
import { expectArgument } from '../../engine/util/argument.js';
import { recordRule } from '../../engine/util/option-rule.js';
import { instrument } from '../../opentelemetry/instrument.js';
import type { InstrumentationOptions } from '../../opentelemetry/instrumentation-options.js';
import { getEngineToken } from '../shared/database.tokens.js';

/** Which database is instrumented, and how. */
export interface DatabaseOpenTelemetryOptions extends InstrumentationOptions {
  /** The database's name; the unnamed one where it is not given. */
  readonly engine?: string | undefined;
}

/**
 * Gives OpenTelemetry the spans and metrics of a database of the application; import it once for each. See
 * `instrument()`.
 *
 * @example
 * ```ts
 * import { DatabaseOpenTelemetryModule } from 'nest-async-engine/opentelemetry';
 *
 * @Module({
 *   imports: [DatabaseModule.forRoot(), DatabaseOpenTelemetryModule.forRoot({ sqlCommenter: true })],
 * })
 * export class AppModule {}
 * ```
 */
@Module({})
export class DatabaseOpenTelemetryModule {
  /** @throws ArgumentError for a wrong option, when the application starts. */
  static forRoot(given: DatabaseOpenTelemetryOptions = {}): DynamicModule {
    expectArgument('DatabaseOpenTelemetryModule.forRoot()', recordRule, given);
    const { engine: name, ...options } = given;
    @Injectable()
    class Instrumentation implements OnApplicationShutdown {
      readonly #stop: () => void;

      constructor(@Inject(getEngineToken(name)) engine: AsyncEngine) {
        this.#stop = instrument(engine, options);
      }

      onApplicationShutdown(): void {
        this.#stop();
      }
    }
    return { module: DatabaseOpenTelemetryModule, providers: [Instrumentation] };
  }
}
