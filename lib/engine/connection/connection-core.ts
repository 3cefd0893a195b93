import type { ConnectionHost, ConnectionSettings } from './connection-host.js';
import { ConnectionListeners } from './connection-listeners.js';
import { ConnectionOptions } from './connection-options.js';
import { ConnectionSession } from './connection-session.js';
import { ConnectionStream } from './connection-stream.js';
import { sendWithSettings } from './statement-settings.js';
import type { AnswerReceiver, CommandResult, Control } from '../driver/driver.js';
import { parseExecutionOptions, type ExecutionOptions } from '../execution/execution-options.js';
import type { StatementRunner } from '../execution/executor.js';
import { Invocation } from '../execution/invocation.js';
import type { ObserverFactory, ConnectionObserver } from '../execution/connection-observer.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import type { StreamSource } from '../result/stream-source.js';
import type { CompiledCache } from '../statement/compiled-cache.js';
import type { QueryConfig } from '../statement/executable.js';
import { ConnectionTransactions, type TransactionParent } from '../transaction/connection-transactions.js';
import { autocommitControl } from '../transaction/isolation.js';
import type { TransactionOptions } from '../transaction/isolation.js';
import type { RootTransaction } from '../transaction/root-transaction.js';
import { startedElsewhere } from '../transaction/transaction-errors.js';
import type { Transaction } from '../transaction/transaction.js';
import { beginRefused, controlRefused, type TransactionCommand } from '../statement/transaction-command.js';
import { settled } from '../util/promise-try.js';

/** Work that was given its place on the session, with what must travel in front of it. */
export type Dispatched<T> = (
  control: readonly Control[],
  deadline: AbortSignal | undefined,
  transaction?: Transaction,
  receiver?: AnswerReceiver,
) => Promise<T>;

/**
 * One connection: its session, transactions, options and listeners, and how its statements come to them.
 * What a user holds is an AsyncConnection in front of it.
 */
export class ConnectionCore<Connection> implements StatementRunner, TransactionParent<Connection> {
  readonly host: ConnectionHost<Connection>;
  readonly compiledCache: CompiledCache;
  readonly observers: ObserverFactory<Connection>;
  readonly options: ConnectionOptions;
  readonly transactions: ConnectionTransactions<Connection>;
  readonly session: ConnectionSession<Connection>;
  readonly #isExplicit: boolean;
  readonly #present: (core: ConnectionCore<Connection>) => Connection;
  #connection: Connection | undefined;
  #listeners: ConnectionListeners<Connection> | undefined;

  /** `present` makes what its user holds. */
  constructor(
    host: ConnectionHost<Connection>,
    present: (core: ConnectionCore<Connection>) => Connection,
    settings: ConnectionSettings = {},
  ) {
    this.#present = present;
    this.host = host;
    this.compiledCache = host.compiledCache;
    this.observers = host.observers;
    const { late, mode = 'explicit' } = settings;
    this.#isExplicit = mode === 'explicit';
    // Outside: what it asks the database for its answer must not wait for that answer.
    const asked = late && (() => host.runWithoutTransaction(late));
    this.options = new ConnectionOptions(host.executionOptions, asked);
    this.transactions = new ConnectionTransactions(this);
    this.session = new ConnectionSession(host, this.transactions, this, settings);
  }

  /** What transactions and events show as their connection; made for the first who asks. */
  get connection(): Connection {
    return (this.#connection ??= this.#present(this));
  }

  get executionOptions(): ExecutionOptions {
    return this.options.current;
  }

  settle(signal?: AbortSignal): Promise<void> | undefined {
    return this.options.settle(signal);
  }

  /** Takes a connection from the pool; undefined where it has one, or one was free. May throw. */
  start(signal?: AbortSignal): Promise<void> | undefined {
    const start = (): Promise<void> | undefined =>
      this.session.start(signal, this.explicitRoot?.options ?? this.options.ofBegin);
    const settling = this.settle(signal);
    return settling === undefined ? start() : settling.then(start);
  }

  /** Undefined while nothing observes the engine or this connection. */
  observer(): ConnectionObserver<Connection> | undefined {
    return this.observers.parts.hub.isObserved ? this.listeners.observer() : undefined;
  }

  get listeners(): ConnectionListeners<Connection> {
    const invalidate = (cause: unknown): void => this.session.invalidate(cause);
    this.#listeners ??= new ConnectionListeners(this.host, this.connection, this.options, invalidate);
    return this.#listeners;
  }

  /** `active`: the transaction of the caller's async context, where it is known. */
  send(invocation: Invocation, active?: Transaction<Connection>): Promise<CommandResult> {
    const { control } = invocation;
    if (control !== undefined) return this.#runControl(control);
    const { settings } = invocation;
    const sendIn: Dispatched<CommandResult> = (control, deadline, transaction, receiver) => {
      const { observer } = invocation;
      if (observer === undefined) return invocation.run(this.session, control, deadline, undefined, receiver);
      if (transaction !== undefined) observer.runsIn(transaction);
      return invocation.run(this.session, control, deadline, this.session.pooled?.session);
    };
    const run: Dispatched<CommandResult> =
      settings === undefined
        ? sendIn
        : (control, deadline, transaction) =>
            sendWithSettings(settings, this.session, transaction, (own) =>
              sendIn([...control, ...own], deadline, transaction),
            );
    const how = { isExclusive: invocation.isExclusive || settings !== undefined, active };
    const isReady = !invocation.isLimited && !this.options.isLate;
    if (isReady && active !== undefined) return this.dispatch(run, undefined, how);
    const send = (signal?: AbortSignal): Promise<CommandResult> =>
      (active === undefined ? this.#runRead(invocation) : undefined) ?? this.dispatch(run, signal, how);
    if (isReady) return send();
    return invocation.wait((end) => {
      const signal = end?.signal;
      const settling = this.options.settle(signal);
      return settling === undefined ? send(signal) : settling.then(() => send(signal));
    });
  }

  /**
   * A read that commits itself need not have a session of its own while nothing else has asked for one:
   * undefined where it needs one.
   */
  #runRead(invocation: Invocation): Promise<CommandResult> | undefined {
    if (this.#isExplicit || !this.session.isFree || invocation.observer !== undefined) return undefined;
    if (invocation.settings !== undefined) return undefined;
    if (!this.options.isAutocommit || this.transactions.current() !== undefined) return undefined;
    const isPlain = autocommitControl(this.options.ofBegin ?? {}).length === 0;
    return isPlain ? this.host.runRead(invocation) : undefined;
  }

  /**
   * BEGIN, COMMIT and ROLLBACK as statements are those of a connection of one's own, whose transaction begins
   * with its first statement; where a handle, a block, a scope or a frame owns it, they are refused.
   */
  async #runControl(command: TransactionCommand): Promise<CommandResult> {
    const { explicitRoot: root, isUnclaimed } = this.transactions;
    if (!this.#isExplicit || !isUnclaimed || (command.kind === 'begin' && root !== undefined)) {
      throw controlRefused(command);
    }
    if (command.kind === 'begin' && this.options.isAutocommit) throw beginRefused(command);
    if (command.kind === 'begin') this.session.expectOpenable();
    else if (command.kind === 'commit') await root?.commit();
    else await root?.rollback();
    return { command: command.kind.toUpperCase(), rowCount: -1, shape: undefined, rows: [] };
  }

  openStream(invocation: Invocation, isAlone = false): StreamSource {
    if (invocation.control !== undefined) throw controlRefused(invocation.control);
    return new ConnectionStream(this, invocation, isAlone);
  }

  ambient(): Transaction<Connection> | undefined {
    return this.host.transactionOn(this.connection);
  }

  /** The root that the holder of the connection began, whatever transaction the caller is in. */
  get explicitRoot(): RootTransaction<Connection> | undefined {
    return this.transactions.explicitRoot;
  }

  inTransaction(): boolean {
    return this.transactions.currentRoot?.isActive === true;
  }

  /** A root that waits, at its first statement, for the one before it. */
  enqueueTransaction(options?: TransactionOptions): RootTransaction<Connection> {
    const root = this.transactions.enqueue(options);
    root.announce();
    return root;
  }

  /** From now on each statement outside a transaction commits itself, or no longer does. */
  switchToAutocommit(isOn = true): void {
    this.options.autocommits = isOn;
  }

  /** Rolls back what was not committed and gives the session back. */
  close(): Promise<void> {
    const end = (): Promise<void> | undefined => {
      const returned = this.session.close();
      this.#listeners?.clear();
      return returned;
    };
    const undone = this.transactions.rollbackAll();
    if (undone === undefined) return settled(end);
    return undone.then(end, (error: unknown) => {
      // The session is invalidated already; what was not committed is gone either way.
      this.host.report(error);
      return end();
    });
  }

  /** Warns that what was written will be rolled back, where that is so. */
  warnOfUncommitted(): void {
    const root = this.explicitRoot;
    if (root?.isActive !== true || !root.hasWritten) return;
    this.host.warn(
      `a connection was returned with a transaction that was not committed (started at ${root.origin}): what it wrote ` +
        `is rolled back. Call connection.commit(), or use engine.begin().`,
    );
  }

  invalidate(cause: unknown): void {
    this.session.expectOpenable();
    if (this.session.state === 'unstarted') this.session.expectPooled();
    this.session.invalidate(cause);
  }

  addOptions(options: ExecutionOptions): void {
    const parsed = parseExecutionOptions(options, this.inTransaction());
    this.options.add(this.observer()?.setOptions(parsed) ?? parsed);
  }

  async rawConnection(): Promise<PooledConnection> {
    await this.settle();
    const owner = this.transactions.current();
    if (owner === undefined) await this.session.ready(undefined, this.options.ofBegin);
    else await owner.execute((control) => this.session.executeMany(control, []));
    return this.session.expectPooled();
  }

  runHeld<T>(work: () => T): T {
    return this.host.runHolding(this.connection, work);
  }

  /** A statement of ours, or of a client's. */
  invocationOf(query: QueryConfig): Invocation {
    return new Invocation(query, undefined, this.options.current, this.compiledCache);
  }

  /** Runs `work` in the transaction in progress; it gets what must travel in front of it. */
  dispatch<T>(
    work: Dispatched<T>,
    signal?: AbortSignal,
    how?: { readonly isExclusive: boolean; readonly active: Transaction<Connection> | undefined },
  ): Promise<T> {
    const owner = this.transactions.current(how?.active) ?? this.transactions.beginByStatement();
    if (owner !== undefined)
      return owner.execute(
        (control, receiver) => work(control, owner.deadline, owner, receiver),
        signal,
        how?.isExclusive,
      );
    this.observer()?.line(
      'begin',
      'BEGIN (implicit; nothing is sent: with AUTOCOMMIT each statement commits itself)',
    );
    return this.between(work, signal, autocommitControl(this.options.ofBegin ?? {}));
  }

  /** Runs `work` outside of transactions, between two of them. */
  between<T>(work: Dispatched<T>, signal?: AbortSignal, control: readonly Control[] = []): Promise<T> {
    const send = (): Promise<T> => {
      if ((this.session.server?.status ?? 'idle') !== 'idle') throw startedElsewhere();
      // What it writes commits itself, at a place in the log that is not asked for.
      if (this.options.current.readOnly !== true) this.host.router?.note(undefined);
      return work(control, undefined);
    };
    return this.transactions.runBetween(
      () => this.session.ready(signal, this.options.ofBegin)?.then(send) ?? send(),
      () => this.session.rest(),
      signal,
    );
  }
}

/** The connection that `transaction` lives on: connections alone begin transactions. */
export function coreOf<Connection>(transaction: Transaction<Connection>): ConnectionCore<Connection> {
  return transaction.owner as ConnectionCore<Connection>;
}
