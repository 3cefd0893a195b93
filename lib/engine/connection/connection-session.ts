import { Checkout } from './checkout.js';
import type { ConnectionHost, ConnectionSettings, ObservedCore } from './connection-host.js';
import type {
  AnswerReceiver,
  Command,
  CommandOptions,
  CommandResult,
  Control,
  DriverConnection,
  Portal,
} from '../driver/driver.js';
import { DeferredControl } from './deferred-control.js';
import { ServerChoice, type Sender } from './server-choice.js';
import { ResourceClosedError } from '../errors/errors.js';
import { classifyFailure, type ConnectionObserver } from '../execution/connection-observer.js';
import type { CommandObserver, CommandTarget, TargetOptions } from '../execution/invocation.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import type { ConnectionTransactions } from '../transaction/connection-transactions.js';
import type { TransactionOptions } from '../transaction/isolation.js';
import { observedControl } from '../transaction/transaction-observation.js';
import { connectionClosed, notStarted } from '../transaction/transaction-errors.js';
import { OutcomeInquiry } from '../transaction/outcome-inquiry.js';
import type {
  ControlEnds,
  PacedCommand,
  ServerWord,
  TransactionHost,
} from '../transaction/transaction-host.js';

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

type Work<T> = (session: DriverConnection) => Promise<T>;
type Send<T> = (on: DriverConnection, control: readonly Control[], options?: CommandOptions) => Promise<T>;

/**
 * The side of a connection that transactions talk to: the borrowed session, its state, what rides with the
 * next batch.
 *
 * @internal
 */
export class ConnectionSession<Connection> implements TransactionHost, CommandTarget {
  readonly engine: ConnectionHost<Connection>;
  readonly #transactions: ConnectionTransactions<Connection>;
  readonly #core: ObservedCore<Connection>;
  readonly #settings: ConnectionSettings;
  #state: ConnectionState = 'unstarted';
  #pooled: PooledConnection | undefined;
  /** Undefined where there are no replicas. */
  readonly #server: ServerChoice<Connection> | undefined;
  /** Made for the first wait. */
  #checkout: Checkout<Connection> | undefined;
  /** Made with the first of it. */
  #deferred: DeferredControl | undefined;
  #commands = 0;
  #paced: PacedCommand | undefined;
  #hasConnected = false;

  constructor(
    engine: ConnectionHost<Connection>,
    transactions: ConnectionTransactions<Connection>,
    core: ObservedCore<Connection>,
    settings: ConnectionSettings,
  ) {
    this.engine = engine;
    this.#transactions = transactions;
    this.#core = core;
    this.#settings = settings;
    if (engine.router !== undefined) this.#server = new ServerChoice(engine);
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

  inquiry(lost: ServerWord): OutcomeInquiry | undefined {
    return lost.transactionMark && new OutcomeInquiry(lost, this.engine);
  }

  get commandMark(): number | undefined {
    const isRunning = this.#pooled?.isValid === true && !this.#pooled.session.isQuiet;
    return isRunning || this.#checkout?.isWaiting === true ? this.#paced?.progress : this.#commands;
  }

  get observer(): ConnectionObserver<Connection> | undefined {
    return this.engine.observers.parts.hub.isObserved ? this.#core.observer() : undefined;
  }

  /** Takes a connection from the pool, for all callers that wait for one here; see {@link ready}. */
  start(signal?: AbortSignal, options?: TransactionOptions): Promise<void> | undefined {
    if (this.#state === 'closed') throw this.#closedError();
    if (this.#server === undefined || this.#checkout?.isWaiting === true) return this.#start(signal);
    const choosing = this.#server.choose(options, this.#state === 'open', () => this.#leaveServer());
    return choosing === undefined ? this.#start(signal) : choosing.then(() => this.#start(signal));
  }

  #start(signal: AbortSignal | undefined): Promise<void> | undefined {
    if (this.#state === 'open') return undefined;
    const free =
      this.#checkout?.isWaiting === true ? undefined : (this.#server ?? this.engine).pool.tryConnect();
    if (free !== undefined) return this.take(free);
    this.#checkout ??= new Checkout(this.#server ?? this.engine, this);
    return this.#checkout.start(signal);
  }

  ready(signal?: AbortSignal, options?: TransactionOptions): Promise<void> | undefined {
    this.expectOpenable();
    return this.start(signal, options);
  }

  /** True: it has no session yet, and nothing waits for one. */
  get isFree(): boolean {
    return this.#state === 'unstarted' && this.#checkout?.isWaiting !== true;
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

  /** What was checked out is its session. @internal */
  take(pooled: PooledConnection): Promise<void> | undefined {
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

  expectNotClosed(): void {
    if (this.#state === 'closed') throw this.#closedError();
  }

  #closedError(): Error {
    return this.#settings.ended?.() ?? connectionClosed();
  }

  /** Refuses what could only fail at its first statement. */
  expectOpenable(): void {
    if (this.#state === 'closed') throw this.#closedError();
    if (this.#state === 'unstarted' && (this.#settings.mode ?? 'explicit') === 'explicit') throw notStarted();
  }

  /** What it holds of the pool. */
  expectPooled(): PooledConnection {
    if (this.#pooled === undefined) throw notStarted();
    return this.#pooled;
  }

  execute(control: readonly Control[], command: Command, options?: TargetOptions, receiver?: AnswerReceiver) {
    this.#paced = command.copy;
    // A listener of the pool hears of a lost session in the async context of the caller, not of the socket;
    // what may be sent twice has two answers.
    const { hub } = (this.#server ?? this.engine).pool.observer;
    const told = hub.isObserved || this.#server?.isAsking === true ? undefined : receiver;
    return this.#send(control, options, (session, all, own) => session.execute(all, command, own, told));
  }

  executeMany(...[control, commands, options]: Parameters<CommandTarget['executeMany']>) {
    return this.#send(control, options, (session, all, told) => session.executeMany(all, commands, told));
  }

  /** Hands the driver's own client to `use`, behind `control`, which is confirmed before. */
  lend(...[control, use, options, paced]: Parameters<TransactionHost['lend']>): Promise<CommandResult> {
    this.#paced = paced;
    return this.#send(control, options, (session, all, told) => session.lend(all, use, told));
  }

  #send<T>(control: readonly Control[], options: TargetOptions | undefined, send: Send<T>): Promise<T> {
    if (this.#server?.isAsking === true)
      return this.#ask(this.#server, options, (told) => this.#send(control, told, send));
    const observer = options?.observer;
    if (this.#deferred?.isEmpty !== false)
      return this.run((session) => send(session, control, options), observer);
    return this.#deferred.carry(options, (deferred, told) =>
      this.run((session) => send(session, [...deferred, ...control], told), observer),
    );
  }

  /** Sends behind a question of the replica; once more, on the primary, where the answer is no. */
  #ask<T>(server: ServerChoice<Connection>, options: TargetOptions | undefined, send: Sender<T>): Promise<T> {
    return server.ask(this.#session(), options, send, () => this.#changeServer(options?.signal));
  }

  /** The first fetch sends `control` in front of the statement. */
  openPortal(control: readonly Control[], command: Command, options?: CommandOptions): Portal {
    const [deferred, told] = this.#deferred?.carried(options) ?? [[], options];
    return this.#session().openPortal([...deferred, ...control], command, told);
  }

  /** For what can carry no control: settings that wait to be brought back go in front, by themselves. */
  runRestored<T>(work: () => Promise<T>): Promise<T> {
    if (this.#deferred?.hasSettings !== true) return work();
    return this.#deferred.carry(undefined, async (deferred, told) => {
      const restored = this.run((session) => session.executeMany(deferred, [], told));
      // Right behind them: a nested transaction may set its own next.
      const [, result] = await Promise.all([restored, work()]);
      return result;
    });
  }

  /** Sends what may be the first flight of a root. */
  sendFirst<T>(options: TargetOptions | undefined, send: Sender<T>): Promise<T> {
    return this.#server?.isAsking === true ? this.#ask(this.#server, options, send) : send(options);
  }

  /** Ends the session where `work` takes longer than a ROLLBACK may. */
  async inTime(work: () => Promise<void>): Promise<void> {
    const pooled = this.#pooled;
    if (pooled === undefined) return await work();
    const unwatch = this.engine.watchdog.watch(ROLLBACK_DEADLINE, () => pooled.session.terminate());
    await work().finally(unwatch);
  }

  command(text: string, ends: ControlEnds): Promise<void> {
    // COMMIT may take its time: a deferred constraint, a standby that is waited for.
    const timeout = text === 'COMMIT' ? this.engine.commitTimeout : ROLLBACK_DEADLINE;
    const command = { text, prepare: false };
    const send: Work<CommandResult> = (session) => {
      const options = ends.observation && observedControl(ends.observation);
      return this.#server === undefined
        ? session.execute([], command, options)
        : this.#server.end(text, session, (told) => session.execute([], command, { ...options, ...told }));
    };
    return this.#control(timeout, send, (answer) => ends.answered(answer.command, answer), ends);
  }

  rollbackTo(savepoint: string, ends: ControlEnds): Promise<void> {
    const texts = [`ROLLBACK TO SAVEPOINT ${savepoint}`, `RELEASE SAVEPOINT ${savepoint}`];
    const commands = texts.map((text) => ({ text, prepare: false }));
    const send: Work<readonly CommandResult[]> = (session) =>
      session.executeMany([], commands, ends.observation && observedControl(ends.observation));
    return this.#control(ROLLBACK_DEADLINE, send, () => ends.answered(''), ends);
  }

  #control<T>(
    timeout: number,
    send: Work<T>,
    answered: (answer: T) => Promise<void> | undefined,
    { failed }: ControlEnds,
  ): Promise<void> {
    // COMMIT, ROLLBACK and ROLLBACK TO end what a deferred RELEASE would.
    this.#deferred?.clear();
    let unwatch: (() => void) | undefined;
    let sent: Promise<T>;
    try {
      const { session } = this.#pooled ?? this.#refuse();
      unwatch = this.engine.watchdog.watch(timeout, () => session.terminate());
      sent = this.run(send);
    } catch (error) {
      sent = Promise.reject(error);
    }
    return sent.then(
      (answer) => {
        unwatch?.();
        return answered(answer);
      },
      (error: unknown) => {
        unwatch?.();
        this.noteFailure(error);
        return failed(error);
      },
    );
  }

  defer(control: Control): void {
    this.#deferred ??= new DeferredControl();
    this.#deferred.add(control);
  }

  nextSavepoint(): string {
    return this.#session().uniqueName('nae_savepoint');
  }

  detach(root: object): Promise<void> | undefined {
    // Lost in silence while the transaction was open: its end settles that, and the next one begins
    // elsewhere.
    if (this.#pooled?.isValid === false) this.invalidate();
    return this.#transactions.onEnded(root, () => this.rest());
  }

  /** Cancels what runs now, or the wait for a connection to run it on. */
  async cancel(): Promise<void> {
    this.#checkout?.cancel();
    if (this.#pooled?.isValid === true) await this.#pooled.session.cancel();
  }

  /** Ends the physical connection; the next use takes another one, once the transaction was rolled back. */
  invalidate(cause?: unknown): void {
    const pooled = this.#pooled;
    if (this.#state !== 'open' || pooled === undefined) return;
    this.#state = 'invalidated';
    this.#pooled = undefined;
    this.#deferred?.clear();
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

  close(): Promise<void> | undefined {
    this.#state = 'closed';
    return this.#return();
  }

  #return(): Promise<void> | undefined {
    const pooled = this.#pooled;
    this.#pooled = undefined;
    this.#deferred?.clear();
    return pooled?.giveBack();
  }

  #session(): DriverConnection {
    return (this.#pooled ?? this.#refuse()).session;
  }

  #refuse(): never {
    this.expectNotClosed();
    throw new ResourceClosedError('this AsyncConnection lost its session while it was in use.');
  }

  /** A failure that `observer` does not classify is noted by who hears of it: that costs no promise. */
  run<T>(work: Work<T>, observer?: CommandObserver): Promise<T> {
    const { session } = this.#pooled ?? this.#refuse();
    const sent = work(session);
    this.#commands += 1;
    if (observer === undefined) return sent;
    return sent.catch((error: unknown) => {
      this.#classify(error, observer);
      throw error;
    });
  }

  noteFailure(error: unknown): void {
    if (!this.engine.observers.parts.replacements.has(error)) this.#classify(error, this.observer);
  }

  #classify(error: unknown, observer: Pick<CommandObserver, 'failed'> | undefined): void {
    const { isDisconnect, invalidatesPool } = classifyFailure(error, observer);
    if (isDisconnect) this.#lose(error, invalidatesPool);
  }

  // One lost connection is a hint that the others of its age are lost too: each is replaced at its next
  // checkout.
  #lose(error: unknown, invalidatesPool: boolean): void {
    if (this.#pooled !== undefined && invalidatesPool)
      (this.#server ?? this.engine).pool.invalidateAll(this.#pooled);
    this.invalidate(error);
  }
}
