import type { ConnectionHost, ConnectionSettings } from './connection-host.js';
import type {
  Batch,
  Command,
  CommandOptions,
  CommandResult,
  Control,
  DriverConnection,
  Portal,
} from '../driver/driver.js';
import { DeferredControl } from './deferred-control.js';
import { ServerChoice, type Sender } from './server-choice.js';
import { QueryCanceledError, ResourceClosedError } from '../errors/errors.js';
import { classifyFailure, type ConnectionObserver } from '../execution/connection-observer.js';
import type { CommandObserver, CommandTarget, TargetOptions } from '../execution/invocation.js';
import { SharedWait } from '../util/shared-wait.js';
import { reportError } from '../util/logger.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import type { ConnectionTransactions } from '../transaction/connection-transactions.js';
import type { TransactionOptions } from '../transaction/isolation.js';
import { observedControl, type TransactionObservation } from '../transaction/transaction-observation.js';
import { connectionClosed, notStarted } from '../transaction/transaction-errors.js';
import { OutcomeInquiry } from '../transaction/outcome-inquiry.js';
import type { ServerWord, TransactionHost } from '../transaction/transaction-host.js';

/**
 * How long a ROLLBACK may take: it has nothing to do but to arrive. A server out of reach must not hold its
 * caller.
 */
const ROLLBACK_DEADLINE = 5_000;

/**
 * `unstarted`: nothing was taken from the pool. `invalidated`: what was taken is lost; the next use takes
 * another.
 */
export type ConnectionState = 'unstarted' | 'open' | 'invalidated' | 'closed';

type Guarded<T> = (session: DriverConnection) => Promise<T>;
type Send<T> = (on: DriverConnection, control: readonly Control[], options?: CommandOptions) => Promise<T>;

/**
 * The side of a connection that transactions talk to: the borrowed session, its state, what rides with the
 * next batch.
 */
export class ConnectionSession<Connection> implements TransactionHost, CommandTarget {
  readonly #host: ConnectionHost<Connection>;
  readonly #transactions: ConnectionTransactions<Connection>;
  readonly #observer: () => ConnectionObserver<Connection> | undefined;
  readonly #settings: ConnectionSettings;
  #state: ConnectionState = 'unstarted';
  #pooled: PooledConnection | undefined;
  readonly #server: ServerChoice<Connection>;
  #opening: SharedWait | undefined;
  readonly #deferred = new DeferredControl();
  #running = 0;
  #commands = 0;
  #copy: Command['copy'];
  #hasConnected = false;

  constructor(
    host: ConnectionHost<Connection>,
    transactions: ConnectionTransactions<Connection>,
    observer: () => ConnectionObserver<Connection> | undefined,
    settings: ConnectionSettings,
  ) {
    this.#host = host;
    this.#transactions = transactions;
    this.#observer = observer;
    this.#settings = settings;
    this.#server = new ServerChoice(host);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Undefined unless one is on loan. */
  get pooled(): PooledConnection | undefined {
    return this.#pooled;
  }

  get server(): ServerWord | undefined {
    return this.#pooled?.isValid === true ? this.#pooled.session : undefined;
  }

  inquiry(): OutcomeInquiry | undefined {
    const session = this.#pooled?.isValid === true ? this.#pooled.session : undefined;
    return session?.transactionMark && new OutcomeInquiry(session, this.#host);
  }

  get commandMark(): number | undefined {
    return this.#running === 0 && this.#opening === undefined ? this.#commands : this.#copy?.mark;
  }

  get observer(): ConnectionObserver<Connection> | undefined {
    return this.#host.observers.parts.hub.isObserved ? this.#observer() : undefined;
  }

  get nestedWaitTimeout(): number {
    return this.#host.nestedWaitTimeout;
  }

  /** Takes a connection from the pool, for all callers that wait for one here; see {@link ready}. */
  start(signal?: AbortSignal, options?: TransactionOptions): Promise<void> | undefined {
    this.expectNotClosed();
    if (this.#host.router === undefined || this.#opening !== undefined) return this.#start(signal);
    const choosing = this.#server.choose(options, this.#state === 'open', () => this.#leaveServer());
    return choosing === undefined ? this.#start(signal) : choosing.then(() => this.#start(signal));
  }

  #start(signal: AbortSignal | undefined): Promise<void> | undefined {
    if (this.#state === 'open') return undefined;
    const free = this.#opening === undefined ? this.#server.pool.tryConnect() : undefined;
    if (free !== undefined) return this.#take(free);
    if (this.#opening?.isEnded !== false) this.#opening = new SharedWait((end) => this.#open(end));
    return this.#opening.join(signal);
  }

  ready(signal?: AbortSignal, options?: TransactionOptions): Promise<void> | undefined {
    this.expectOpenable();
    return this.start(signal, options);
  }

  /** Gives the session back; the next statement takes one of another server. */
  #leaveServer(): void {
    this.#state = 'unstarted';
    void this.#return();
  }

  #changeServer(signal: AbortSignal | undefined): Promise<void> | undefined {
    this.#leaveServer();
    return this.#start(signal);
  }

  async #open(signal: AbortSignal): Promise<void> {
    let pooled: PooledConnection;
    try {
      pooled = await this.#checkout(signal);
    } finally {
      // Where this one was given up, another one may be under way already.
      if (!signal.aborted || this.#opening?.isEnded === true) this.#opening = undefined;
    }
    // Given up, or closed, while it waited: the connection must not stay behind.
    if (signal.aborted || this.#state === 'closed') await pooled.close();
    signal.throwIfAborted();
    this.expectNotClosed();
    await this.#take(pooled);
  }

  #take(pooled: PooledConnection): Promise<void> | undefined {
    this.#pooled = pooled;
    this.#state = 'open';
    const isFirst = !this.#hasConnected;
    this.#hasConnected = true;
    return isFirst && this.observer !== undefined ? this.#announce() : undefined;
  }

  async #announce(): Promise<void> {
    try {
      this.observer?.engineConnect();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Resolves to the next connection that is free, unless `signal` ends the wait. */
  async #checkout(signal: AbortSignal): Promise<PooledConnection> {
    const { pool } = this.#server;
    try {
      return await this.#server.checkout(signal);
    } catch (error) {
      // The engine was disposed meanwhile, and nothing was sent yet: the next pool is as good.
      if (error instanceof ResourceClosedError && this.#server.pool !== pool)
        return await this.#checkout(signal);
      throw signal.aborted ? error : (this.observer?.connectFailed(error) ?? error);
    }
  }

  expectNotClosed(): void {
    if (this.#state === 'closed') throw this.#settings.ended?.() ?? connectionClosed();
  }

  /** Refuses what could only fail at its first statement. */
  expectOpenable(): void {
    this.expectNotClosed();
    if (this.#state === 'unstarted' && (this.#settings.mode ?? 'explicit') === 'explicit') throw notStarted();
  }

  /** What it holds of the pool. */
  expectPooled(): PooledConnection {
    if (this.#pooled === undefined) throw notStarted();
    return this.#pooled;
  }

  execute(control: readonly Control[], command: Command, options?: TargetOptions): Promise<CommandResult> {
    this.#copy = command.copy;
    return this.#send(control, options, (session, all, told) => session.execute(all, command, told));
  }

  executeMany(
    ...[control, commands, options]: Parameters<CommandTarget['executeMany']>
  ): Promise<CommandResult[]> {
    return this.#send(control, options, (session, all, told) => session.executeMany(all, commands, told));
  }

  /** Hands the driver's own client to `use`, behind `control`, which is confirmed before. */
  lend(...[control, use, options]: Parameters<DriverConnection['lend']>): Promise<CommandResult> {
    return this.#send(control, options, (session, all, told) => session.lend(all, use, told));
  }

  #send<T>(control: readonly Control[], options: TargetOptions | undefined, send: Send<T>): Promise<T> {
    if (this.#server.isAsking) return this.#ask(options, (told) => this.#sendHere(control, told, send));
    return this.#sendHere(control, options, send);
  }

  /** Sends behind a question of the replica; once more, on the primary, where the answer is no. */
  #ask<T>(options: TargetOptions | undefined, send: Sender<T>): Promise<T> {
    return this.#server.ask(this.#session(), options, send, () => this.#changeServer(options?.signal));
  }

  #sendHere<T>(control: readonly Control[], options: TargetOptions | undefined, send: Send<T>): Promise<T> {
    const observer = options?.observer;
    if (this.#deferred.isEmpty) return this.#guard((session) => send(session, control, options), observer);
    return this.#deferred.carry(options, (deferred, told) =>
      this.#guard((session) => send(session, [...deferred, ...control], told), observer),
    );
  }

  /** The first fetch sends `control` in front of the statement. */
  openPortal(control: readonly Control[], command: Command, options?: CommandOptions): Portal {
    const [deferred, told] = this.#deferred.carried(options);
    return this.#session().openPortal([...deferred, ...control], command, told);
  }

  /** Opens a portal by its first fetch; `opened` is told of it before. */
  fetchFirst(
    open: (options: CommandOptions | undefined) => Portal,
    count: number,
    options: CommandOptions | undefined,
    observer: CommandObserver | undefined,
  ): Promise<Batch> {
    const fetch: Sender<Batch> = (told) => this.fetch(open(told), count, observer);
    return this.#server.isAsking ? this.#ask(options, fetch) : fetch(options);
  }

  /** Fetches from a portal of this session. */
  fetch(portal: Portal, count: number, observer?: CommandObserver): Promise<Batch> {
    return this.#guard(() => portal.fetch(count), observer);
  }

  /** Closing has as little to do as ROLLBACK, and as long. */
  async closePortal(portal: Portal): Promise<void> {
    const pooled = this.#pooled;
    if (pooled === undefined) return await portal.close();
    const unwatch = this.#host.watchdog.watch(ROLLBACK_DEADLINE, () => pooled.session.terminate());
    await portal.close().finally(unwatch);
  }

  command(text: string, observation: TransactionObservation | undefined): Promise<CommandResult> {
    // COMMIT may take its time: a deferred constraint, a standby that is waited for.
    const timeout = text === 'COMMIT' ? this.#host.commitTimeout : ROLLBACK_DEADLINE;
    return this.#control(timeout, (session) =>
      this.#server.end(text, session, (options) =>
        session.execute([], { text }, observedControl(observation, options)),
      ),
    );
  }

  rollbackTo(savepoint: string, observation: TransactionObservation | undefined): Promise<unknown> {
    const texts = [`ROLLBACK TO SAVEPOINT ${savepoint}`, `RELEASE SAVEPOINT ${savepoint}`];
    const commands = texts.map((text) => ({ text, prepare: false }));
    return this.#control(ROLLBACK_DEADLINE, (session) =>
      session.executeMany([], commands, observedControl(observation)),
    );
  }

  #control<T>(timeout: number, send: Guarded<T>): Promise<T> {
    // COMMIT, ROLLBACK and ROLLBACK TO end what a deferred RELEASE would.
    this.#deferred.clear();
    const session = this.#session();
    const unwatch = this.#host.watchdog.watch(timeout, () => session.terminate());
    return this.#guard(send, undefined, unwatch);
  }

  defer(control: Control): void {
    this.#deferred.add(control);
  }

  nextSavepoint(): string {
    return this.#session().uniqueName('nae_savepoint');
  }

  outside<T>(work: () => T): T {
    return this.#host.outside(work);
  }

  inside<T>(transaction: object, work: () => Promise<T>): Promise<T> {
    return this.#host.inside(transaction, work);
  }

  detach(transaction: object): Promise<void> | undefined {
    const isRoot = !('parent' in transaction && transaction.parent !== undefined);
    // Lost in silence while the transaction was open: its end settles that, and the next one begins
    // elsewhere.
    if (isRoot && this.#pooled?.isValid === false) this.invalidate();
    return this.#transactions.onEnded(transaction, () => this.rest());
  }

  report(error: unknown): void {
    reportError(this.#host.logger, error);
  }

  /** Cancels what runs now, or the wait for a connection to run it on. */
  async cancel(): Promise<void> {
    this.#opening?.end(
      new QueryCanceledError('the statement was cancelled while it waited for a connection.'),
    );
    if (this.#pooled?.isValid === true) await this.#pooled.session.cancel();
  }

  /** Ends the physical connection; the next use takes another one, once the transaction was rolled back. */
  invalidate(cause?: unknown): void {
    const pooled = this.#pooled;
    if (this.#state !== 'open' || pooled === undefined) return;
    this.#state = 'invalidated';
    this.#pooled = undefined;
    this.#deferred.clear();
    pooled.invalidate(cause);
    void pooled.close();
    this.#transactions.onConnectionLost(cause);
  }

  /** Between two transactions: as its mode says, gives the connection back until the next statement. */
  rest(): Promise<void> | undefined {
    if (this.#settings.mode !== 'transaction' || this.#state === 'closed') return undefined;
    this.#state = 'unstarted';
    return this.#return();
  }

  async close(): Promise<void> {
    this.#state = 'closed';
    await this.#return();
  }

  #return(): Promise<void> | undefined {
    const pooled = this.#pooled;
    this.#pooled = undefined;
    this.#deferred.clear();
    return pooled?.giveBack();
  }

  #session(): DriverConnection {
    if (this.#pooled !== undefined) return this.#pooled.session;
    this.expectNotClosed();
    throw new ResourceClosedError('this AsyncConnection lost its session while it was in use.');
  }

  #guard<T>(work: Guarded<T>, observer?: CommandObserver, last?: () => void): Promise<T> {
    const session = this.#session();
    this.#running += 1;
    this.#commands += 1;
    return work(session).then(
      (result) => {
        this.#running -= 1;
        last?.();
        return result;
      },
      (error: unknown) => {
        const { isDisconnect, invalidatesPool } = classifyFailure(error, observer ?? this.observer);
        if (isDisconnect) this.#lose(error, invalidatesPool);
        this.#running -= 1;
        last?.();
        throw error;
      },
    );
  }

  // One lost connection is a hint that the others of its age are lost too: each is replaced at its next
  // checkout.
  #lose(error: unknown, invalidatesPool: boolean): void {
    if (this.#pooled !== undefined && invalidatesPool) this.#server.pool.invalidateAll(this.#pooled);
    this.invalidate(error);
  }
}
