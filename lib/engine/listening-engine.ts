import { AmbientEngine } from './ambient/ambient.js';
import type { AsyncConnection } from './connection/connection.js';
import type { EngineEvents, EngineOwnEvents } from './engine-events.js';
import { EngineListeners } from './engine-listeners.js';
import { ArgumentError } from './errors/errors.js';
import type { EventOf } from './util/events.js';
import { EchoLog } from './util/logger.js';
import type { Echo, EngineLogger } from './util/logger.js';
import type { Pool } from './pool/pool.js';
import type { ErrorReplacements } from './execution/connection-observer.js';
import { ObserverFactory } from './execution/connection-observer.js';
import type { ConnectionObserver } from './execution/connection-observer.js';

/** What the listeners and the log of an engine are made of. */
export interface ListeningParts {
  readonly pool: Pool;
  readonly logger: EngineLogger;
  /** `AsyncEngine`, or with a `loggingName` of its own `AsyncEngine.orders`. */
  readonly loggerName: string;
  readonly hideParameters: boolean;
  readonly slowStatementThreshold: number | undefined;
  readonly replacements: ErrorReplacements;
}

/** The side of an engine that tells what happens: listeners, log and channels. */
export abstract class ListeningEngine<Engine> extends AmbientEngine {
  /** The listeners of this engine, its log and its channels, for its connections. @internal */
  readonly observers: ObserverFactory<AsyncConnection>;
  readonly #listeners: EngineListeners<Engine>;
  readonly #log: EchoLog;

  constructor(parts: ListeningParts, echo: Echo, parent?: ListeningEngine<Engine>) {
    super();
    const { slowStatementThreshold, hideParameters, replacements } = parts;
    this.#listeners = new EngineListeners(
      parts.pool.observer,
      parent === undefined ? undefined : parent.#listeners,
    );
    const { tally, connections: hub } = this.#listeners;
    // Whoever is slow is found by looking at every statement.
    if (slowStatementThreshold !== undefined) tally.count += 1;
    this.#log = new EchoLog(parts.logger, parts.loggerName, echo, tally);
    const log = this.#log;
    this.observers = new ObserverFactory(tally, {
      hub,
      log,
      hideParameters,
      slowStatementThreshold,
      replacements,
    });
    if (parent === undefined)
      parts.pool.observer.pingJudge = (error) => this.engineObserver()?.prePingFailed(error);
  }

  /** Whether statements are written to the log; with `'debug'`, their rows too. May be set at any time. */
  get echo(): Echo {
    return this.#log.echo;
  }

  /** @throws ArgumentError for another value. */
  set echo(echo: Echo) {
    if (typeof echo !== 'boolean' && echo !== 'debug') {
      throw new ArgumentError(`echo is ${String(echo)}: it takes true, false or 'debug'.`);
    }
    this.#log.echo = echo;
  }

  /**
   * Adds a listener for what happens to this engine, its pool and its connections, those that are open among
   * them; see {@link EngineEvents}. The engines made of it by `executionOptions()` have its listeners too.
   *
   * @throws ArgumentError for an async listener where nothing would wait, InvalidRequestError for an unknown
   * event.
   */
  on<Name extends keyof EngineEvents<Engine>>(event: Name, listener: EngineEvents<Engine>[Name]): this {
    this.#listeners.add(event, listener, false);
    return this;
  }

  /** Adds a listener that is called once. */
  once<Name extends keyof EngineEvents<Engine>>(event: Name, listener: EngineEvents<Engine>[Name]): this {
    this.#listeners.add(event, listener, true);
    return this;
  }

  /** Takes a listener of this engine away. */
  off<Name extends keyof EngineEvents<Engine>>(event: Name, listener: EngineEvents<Engine>[Name]): this {
    this.#listeners.remove(event, listener);
    return this;
  }

  protected get shownParameters(): 'values' | 'hidden' | undefined {
    return this.observers.shownParameters;
  }

  protected callerObserver(): ConnectionObserver<AsyncConnection> | undefined {
    if (!this.observers.isObserved) return undefined;
    return this.activeTransaction()?.connection.observer ?? this.engineObserver();
  }

  /** For statements that commit themselves. @internal */
  engineObserver(): ConnectionObserver<AsyncConnection> | undefined {
    return this.observers.of({
      connection: undefined,
      hub: this.observers.parts.hub,
      options: () => this.getExecutionOptions(),
      // Whoever sends the statement has its session, and asks the statement.
      invalidate: () => undefined,
    });
  }

  protected replacementOf(error: unknown): unknown {
    return this.observers.parts.replacements.get(error) ?? error;
  }

  protected tell<Name extends keyof EngineOwnEvents<Engine>>(
    name: Name,
    event: EventOf<EngineOwnEvents<Engine>, Name>,
  ): void {
    this.#listeners.emit(name, event);
  }
}
