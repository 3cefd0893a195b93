import { isPoolTraced, publish } from '../channels.js';
import { EventHub } from '../events.js';
import type { EventOf, ListenerTally } from '../events.js';
import { CONSOLE_LOGGER, EchoLog, reportError } from '../log.js';
import type { ConnectionRecord } from './connection-record.js';
import { POOL_TIMINGS } from './pool-events.js';
import type { PoolEvent, PoolEvents } from './pool-events.js';
import type { PooledConnection } from './pooled-connection.js';

/** Tells listeners, channels and the log what happens in a pool. It goes on from a pool to the one that replaces it. */
export class PoolWatch {
  readonly #tally: ListenerTally = { count: 0 };
  readonly hub = new EventHub<PoolEvents>(POOL_TIMINGS, this.#tally);
  #log = new EchoLog(CONSOLE_LOGGER, 'Pool', false, this.#tally);
  /** Nobody was told of a first connection yet. */
  #isFirst = true;

  /** Sends the pool's lines and the failures of its listeners elsewhere. */
  logTo(make: (tally: ListenerTally) => EchoLog): void {
    this.#log.echo = false;
    this.#log = make(this.#tally);
  }

  /** For the pool that replaces another one: its first connection is a first one again. */
  renew(): this {
    this.#isFirst = true;
    return this;
  }

  get isObserved(): boolean {
    return this.#tally.count > 0 || isPoolTraced();
  }

  get log(): EchoLog {
    return this.#log;
  }

  /** Throws what a listener throws; a first connection that fails of that was none. */
  async opened(record: ConnectionRecord): Promise<void> {
    const event = eventOf(record);
    if (this.#isFirst) {
      this.#isFirst = false;
      try {
        publish('firstConnect', event);
        await this.hub.emitAwaited('firstConnect', event);
      } catch (error) {
        this.#isFirst = true;
        throw error;
      }
    }
    publish('connect', event);
    this.#log.debug('connect', 'created a connection', fieldsOf(record));
    await this.hub.emitAwaited('connect', event);
  }

  /** Throws what a listener throws. */
  checkedOut(record: ConnectionRecord, pooled: PooledConnection): void {
    const event = { ...eventOf(record), pooled };
    publish('checkout', event);
    this.#log.debug('checkout', 'lent a connection', fieldsOf(record));
    this.hub.emit('checkout', event);
  }

  resetting(record: ConnectionRecord, what: string): void {
    this.#log.debug('return', 'a connection is being returned', fieldsOf(record));
    this.#tell('reset', { ...eventOf(record), isClean: record.isClean });
    this.#log.debug('reset', what, fieldsOf(record));
  }

  checkedIn(record: ConnectionRecord, isBack: boolean): void {
    const { info, session } = record;
    this.#tell('checkin', { info, driverConnection: isBack ? session.driverConnection : undefined });
  }

  closing(record: ConnectionRecord, way: 'closes' | 'drops'): void {
    this.#log.debug('close', `${way} a connection`, fieldsOf(record));
    this.#tell('close', eventOf(record));
  }

  detached(record: ConnectionRecord): void {
    this.#tell('detach', eventOf(record));
  }

  invalidated(record: ConnectionRecord, cause: unknown, isSoft: boolean): void {
    const reason = cause instanceof Error ? `: ${cause.name}: ${cause.message}` : '';
    const name = isSoft ? 'softInvalidate' : 'invalidate';
    this.#log.info(name, `${isSoft ? 'soft ' : ''}invalidation of a connection${reason}`, fieldsOf(record));
    this.#tell(name, { ...eventOf(record), cause });
  }

  // Where nobody could do anything about it: a connection must come back, whatever its listeners do.
  #tell<Name extends 'reset' | 'checkin' | 'close' | 'detach' | 'invalidate' | 'softInvalidate'>(
    name: Name,
    event: EventOf<PoolEvents, Name>,
  ): void {
    publish(name, event);
    try {
      this.hub.emit(name, event);
    } catch (error) {
      reportError(this.#log.logger, error);
    }
  }
}

function eventOf({ session, info }: ConnectionRecord): PoolEvent {
  return { driverConnection: session.driverConnection, info };
}

function fieldsOf({ session }: ConnectionRecord): { readonly processId: number | undefined } {
  return { processId: session.processId };
}
