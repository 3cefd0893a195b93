import type { ConnectAttempt } from '../driver/driver.js';
import { EventHub, type EventOf, type ListenerTally } from '../util/event-hub.js';
import { CONSOLE_LOGGER, EchoLog, reportError } from '../util/logger.js';
import type { ConnectionRecord, PingFailureClassifier } from './connection-record.js';
import { POOL_CHANNELS, type DoConnectEvent, type PoolEvent, type PoolEvents } from './pool-events.js';
import {
  AcquireTrace,
  isAcquireObserved,
  publishRelease,
  publishRemove,
  traceConnect,
} from './pool-trace.js';
import type { PoolEngine, PoolFigures } from './pool-trace.js';
import type { Waiter } from './waiting-line.js';
import type { PooledConnection } from './pooled-connection.js';

/** Runs work outside of the async context of a request. */
export type Outside = <T>(work: () => T) => T;
type OpeningPlace = Pick<DoConnectEvent, 'replica' | 'role'>;
type Open<T> = (attempt?: ConnectAttempt) => Promise<T>;

/**
 * Emits what happens in a pool to listeners, channels and the log. A pool hands it to the one that replaces
 * it.
 */
export class PoolObserver {
  readonly hub = new EventHub<PoolEvents>(POOL_CHANNELS);
  #log = new EchoLog(CONSOLE_LOGGER, 'Pool', false, this.hub.tally);
  /** A promise, which never rejects, while listeners of `firstConnect` run. */
  #first: 'to come' | 'emitted' | Promise<void> = 'to come';
  /** Asks the engine's listeners what a failed ping means; undefined for a pool without an engine. */
  classifyPingFailure: PingFailureClassifier | undefined;
  /** What its events show as their engine; undefined for a pool without one. */
  engine: PoolEngine | undefined;

  /** Sends the pool's lines and the failures of its listeners elsewhere. */
  logTo(make: (tally: ListenerTally) => EchoLog): void {
    this.#log.echo = false;
    this.#log = make(this.hub.tally);
  }

  /** For the engine of the pool. */
  attach(engine: PoolEngine, classifyPingFailure: PingFailureClassifier): void {
    this.engine = engine;
    this.classifyPingFailure = classifyPingFailure;
  }

  /** For the pool that replaces another one: its first connection is a first one again. */
  renew(): this {
    this.#first = 'to come';
    return this;
  }

  get isObserved(): boolean {
    return this.hub.isObserved;
  }

  get log(): EchoLog {
    return this.#log;
  }

  /** Opens a connection as the listeners say. Rejects with what a listener throws. */
  connecting<T>(outside: Outside, open: Open<T>, place: OpeningPlace): Promise<T> {
    if (!this.isObserved) return outside(open);
    const { engine } = this;
    return traceConnect({ engine, role: place.role }, () => outside(() => this.#askBefore(open, place)));
  }

  async #askBefore<T>(open: Open<T>, place: OpeningPlace): Promise<T> {
    const connectArgs: Record<string, unknown> = {};
    let client: unknown;
    const event = { engine: this.engine, ...place, connectArgs };
    await this.hub.emitAwaited('doConnect', event, (answer) => (client ??= answer));
    return await open({ connectArgs, client });
  }

  /** Throws what a listener throws; the next connection is then a first one. */
  async opened(record: ConnectionRecord): Promise<void> {
    const event = this.#eventOf(record);
    while (this.#first !== 'emitted') await (this.#first === 'to come' ? this.#beFirst(event) : this.#first);
    this.#debug('connect', 'created a connection', record);
    await this.hub.emitAwaited('connect', event);
  }

  // The others wait until the first is ready; when it fails, one of them is the first.
  async #beFirst(event: PoolEvent): Promise<void> {
    const emission = this.hub.emitAwaited('firstConnect', event);
    const turn = emission.catch(() => undefined);
    this.#first = turn;
    let hasSucceeded = false;
    try {
      await emission;
      hasSucceeded = true;
    } finally {
      // Meanwhile another pool may have taken over, whose first connection is still to come.
      if (this.#first === turn) this.#first = hasSucceeded ? 'emitted' : 'to come';
    }
  }

  /** Throws what a listener throws. */
  checkedOut(record: ConnectionRecord, pooled: PooledConnection): void {
    this.#debug('checkout', 'lent a connection', record);
    const { session } = record;
    const { roundTrips = 0 } = session;
    record.observedLoan = { since: performance.now(), roundTrips };
    if (!this.hub.hears('checkout')) return;
    const { info, host, role } = record;
    const { driverConnection } = session;
    const { engine } = this;
    // Written out, as below: a spread of an object would take longer than all the rest of it.
    this.hub.emit('checkout', { engine, driverConnection, info, roundTrips, host, role, pooled });
  }

  resetting(record: ConnectionRecord, what: string): void {
    this.#debug('return', 'a connection is being returned', record);
    if (this.hub.hears('reset'))
      this.#emitSafely('reset', { ...this.#eventOf(record), isClean: record.isIdle });
    this.#debug('reset', what, record);
  }

  #debug(event: string, message: string, record: ConnectionRecord): void {
    if (this.#log.isDebug) this.#log.debug(event, message, fieldsOf(record));
  }

  /** A warning of the pool itself. */
  warn(event: string, message: string): void {
    this.#log.warn(event, message, {});
  }

  /** `cause`: why the connection did not come back. */
  checkedIn(record: ConnectionRecord, isBack: boolean, cause?: unknown): void {
    publishRelease(record, cause);
    if (!this.hub.hears('checkin')) return;
    const { session, info, host, role, observedLoan: loan } = record;
    record.observedLoan = undefined;
    const { roundTrips = 0 } = session;
    this.#emitSafely('checkin', {
      engine: this.engine,
      driverConnection: isBack ? session.driverConnection : undefined,
      info,
      roundTrips,
      host,
      role,
      duration: loan && performance.now() - loan.since,
      loanRoundTrips: loan && roundTrips - loan.roundTrips,
    });
  }

  /**
   * Lends to a caller that has not waited; false where a listener has ended the loan. Throws what a listener
   * throws, and ends the loan then.
   */
  lent(pool: PoolFigures, record: ConnectionRecord, loan: PooledConnection): boolean {
    try {
      this.checkedOut(record, loan);
    } catch (error) {
      if (isAcquireObserved()) this.#acquireOf(pool, record).failed(error);
      loan.invalidate(error);
      throw error;
    }
    if (!loan.isValid) return false;
    if (isAcquireObserved()) this.#acquireOf(pool, record).given(loan, record.observedLoan?.since);
    return true;
  }

  #acquireOf(pool: PoolFigures, { observedLoan: loan }: ConnectionRecord): AcquireTrace {
    return new AcquireTrace(this.engine, pool, { hasWaited: false, startedAt: loan?.since });
  }

  /** A caller waits for a connection. */
  waiting(pool: PoolFigures, { promise }: Waiter): void {
    if (!isAcquireObserved()) return;
    const trace = new AcquireTrace(this.engine, pool, { hasWaited: true });
    promise.then(
      (loan) => trace.given(loan),
      (error: unknown) => trace.failed(error),
    );
  }

  #eventOf({ session, info, host, role }: ConnectionRecord): PoolEvent {
    const { driverConnection, roundTrips = 0 } = session;
    return { engine: this.engine, driverConnection, info, roundTrips, host, role };
  }

  /** Hears what the server says on this connection. */
  listenTo(record: ConnectionRecord): void {
    record.session.onNotice = (notice) => {
      if (this.isObserved) this.#emitSafely('notice', { ...this.#eventOf(record), ...notice });
    };
  }

  closing(record: ConnectionRecord, way: 'closes' | 'drops'): void {
    this.#debug('close', `${way} a connection`, record);
    publishRemove(record);
    this.#emitSafely('close', this.#eventOf(record));
  }

  detached(record: ConnectionRecord): void {
    this.#emitSafely('detach', this.#eventOf(record));
  }

  invalidated(record: ConnectionRecord, cause: unknown, isSoft: boolean): void {
    const reason = cause instanceof Error ? `: ${cause.name}: ${cause.message}` : '';
    const name = isSoft ? 'softInvalidate' : 'invalidate';
    this.#log.info(name, `${isSoft ? 'soft ' : ''}invalidation of a connection${reason}`, fieldsOf(record));
    this.#emitSafely(name, { ...this.#eventOf(record), cause });
  }

  // A connection must come back whatever its listeners do, so their errors go to the logger.
  #emitSafely<Name extends Exclude<keyof PoolEvents, 'doConnect' | 'connect' | 'firstConnect' | 'checkout'>>(
    name: Name,
    event: EventOf<PoolEvents, Name>,
  ): void {
    try {
      this.hub.emit(name, event);
    } catch (error) {
      reportError(this.#log.logger, error);
    }
  }
}

function fieldsOf({ session, host, role }: ConnectionRecord): Readonly<Record<string, unknown>> {
  return { processId: session.processId, host, role };
}
