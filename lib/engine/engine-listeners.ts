import type { AsyncConnection, ConnectionEngine } from './connection/connection.js';
import { describeValue } from './util/describe-value.js';
import type { EngineEvents, EngineOwnEvents } from './engine-events.js';
import type { EngineShared } from './engine-runner.js';
import { InvalidRequestError } from './errors/errors.js';
import { CONNECTION_CHANNELS, type ConnectionEvents } from './execution/connection-events.js';
import { ObserverFactory } from './execution/connection-observer.js';
import type { ReplicaListener } from './pool/replicas/replica-set.js';
import type { PoolObserver } from './pool/pool-observer.js';
import { ChannelGroup } from './util/channels.js';
import { EventChannels, EventHub, type EventOf, type ListenerOptions } from './util/event-hub.js';
import { EchoLog, printable, reportError, type Echo } from './util/logger.js';

const OWN_CHANNELS = new EventChannels<EngineOwnEvents<unknown>>(
  {
    engineDisposed: 'sync',
    retry: 'sync',
    replicaDown: 'sync',
    replicaUp: 'sync',
    replicaFallback: 'sync',
    replicaBehind: 'sync',
  },
  new ChannelGroup(),
);

type ReplicaEventName = 'replicaUp' | 'replicaDown' | 'replicaFallback' | 'replicaBehind';

/** The listeners and the log of one engine; an engine that was made of another one has its listeners too. */
export class EngineListeners<Engine> {
  /** Makes the observers of this engine's connections. */
  readonly observers: ObserverFactory<AsyncConnection>;
  readonly log: EchoLog;
  /** Set by the engine, which is made after them. */
  engine!: ConnectionEngine;
  readonly #connections: EventHub<ConnectionEvents<AsyncConnection>>;
  readonly #own: EventHub<EngineOwnEvents<Engine>>;
  readonly #pool: PoolObserver;

  constructor(shared: EngineShared, echo: Echo, parent?: EngineListeners<Engine>) {
    const { slowStatementThreshold, hideParameters, replacements, ids } = shared;
    this.#connections =
      parent === undefined
        ? new EventHub<ConnectionEvents<AsyncConnection>>(CONNECTION_CHANNELS)
        : parent.#connections.child();
    // A family of its own: no statement has to look at these.
    this.#own =
      parent === undefined ? new EventHub<EngineOwnEvents<Engine>>(OWN_CHANNELS) : parent.#own.child();
    this.#pool = shared.pool.observer;
    // A slow statement is found by looking at every statement.
    if (slowStatementThreshold !== undefined) this.#connections.tally.count += 1;
    this.log = new EchoLog(shared.logger, shared.loggerName, echo, this.#connections.tally);
    this.observers = new ObserverFactory({
      owner: this,
      hub: this.#connections,
      log: this.log,
      hideParameters,
      slowStatementThreshold,
      replacements,
      ids,
    });
  }

  emit<Name extends keyof EngineOwnEvents<Engine>>(
    name: Name,
    event: EventOf<EngineOwnEvents<Engine>, Name>,
  ): void {
    this.#own.emit(name, event);
  }

  /** Tells of the replicas of `engine`. What a listener throws is logged: no caller waits for it. */
  ofReplicas(engine: Engine): ReplicaListener {
    const { logger } = this.log;
    const tell = (name: ReplicaEventName, host?: string, reason?: string): void => {
      try {
        this.emit(name, { engine, host, reason });
      } catch (error) {
        reportError(logger, error);
      }
    };
    return {
      replicaUp: (host) => tell('replicaUp', host),
      replicaDown: (host, reason) => {
        logger.warn(printable(`the replica ${host} takes no work: ${reason}.`));
        tell('replicaDown', host, reason);
      },
      replicaFallback: (reason) => tell('replicaFallback', undefined, reason),
      replicaBehind: (host) => tell('replicaBehind', host),
    };
  }

  /** Where the listeners of `event` are kept. */
  hubOf(event: keyof EngineEvents<Engine>): ListenerPlace {
    const place = [this.#own, this.#connections, this.#pool.hub].find((hub) => hub.has(event));
    if (place !== undefined) return place;
    throw new InvalidRequestError(
      `an engine has no event ${describeValue(event)}. See EngineEvents for its events.`,
    );
  }
}

/** A hub, whatever its events are. */
interface ListenerPlace {
  on(name: PropertyKey, listener: unknown, options?: ListenerOptions & { readonly once?: boolean }): void;
  off(name: PropertyKey, listener: unknown): void;
}
