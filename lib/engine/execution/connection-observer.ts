import type { ConnectionEvents, HandleErrorEvent, OptionsEvent } from './connection-events.js';
import type { ConnectionEvent, EngineOf, IdSequence, Labeled } from './event-place.js';
import type { StatementEvent, StatementPlace } from './statement-event.js';
import { TransactionEvent } from './transaction-event.js';
import { DBAPIError } from '../errors/errors.js';
import type { CopyProgress } from './copy/copy-progress.js';
import type { AnswerOf, EventHub, EventOf } from '../util/event-hub.js';
import type { ExecutionOptions } from './execution-options.js';
import type { EchoLog } from '../util/logger.js';
import type { TransactionObserver } from '../transaction/transaction-host.js';
import type { ObservedTransaction } from '../transaction/transaction-observation.js';

/** What an engine and its observed connections have in common. */
export interface ObserverParts<Connection> {
  readonly owner: { readonly engine: EngineOf<Connection> };
  readonly hub: EventHub<ConnectionEvents<Connection>>;
  readonly log: EchoLog;
  readonly hideParameters: boolean;
  /** Milliseconds after which a statement is worth a warning. */
  readonly slowStatementThreshold: number | undefined;
  readonly replacements: ErrorReplacements;
  readonly ids: IdSequence;
}

/** The connection whose events are emitted; of an engine's own statements, no connection. */
export interface ObservedSubject<Connection> {
  readonly connection: Connection | undefined;
  readonly hub: EventHub<ConnectionEvents<Connection>>;
  /** The scope of the caller. */
  readonly scope: Labeled | undefined;
  options(): ExecutionOptions;
  invalidate(cause: unknown): void;
}

/** The events, the log and the channels of an engine. Costs one check while nothing observes the engine. */
export class ObserverFactory<Connection> {
  readonly parts: ObserverParts<Connection>;
  readonly hideParameters: boolean;

  constructor(parts: ObserverParts<Connection>) {
    this.parts = parts;
    this.hideParameters = parts.hideParameters;
  }

  /** Errors often end where the log does not: their messages have values only where the log has them, too. */
  get shownParameters(): 'values' | 'hidden' | undefined {
    if (this.hideParameters) return 'hidden';
    return this.parts.log.isOn ? 'values' : undefined;
  }

  /** What a listener of `handleError` wants to be thrown for `error`; `error` itself where none does. */
  replacementOf(error: unknown): unknown {
    return this.parts.replacements.get(error) ?? error;
  }

  /** Undefined while nothing observes the engine. */
  of(subject: ObservedSubject<Connection>): ConnectionObserver<Connection> | undefined {
    return this.parts.hub.isObserved ? new ConnectionObserver(this.parts, subject) : undefined;
  }
}

/** What a failure means for the session it happened on, and for the other sessions of the pool. */
export interface FailureClass {
  readonly isDisconnect: boolean;
  readonly invalidatesPool: boolean;
}

/** What is known of a failure besides its error. */
export interface FailureFacts {
  /** The statement that has failed, where it was observed. */
  readonly event?: StatementEvent<unknown> | undefined;
  readonly statement?: string | undefined;
  readonly parameters?: unknown;
  readonly isConnecting?: boolean;
  readonly isPrePing?: boolean;
}

/**
 * Classifies a failure by its error; where the engine is observed, listeners of `handleError` may change it.
 */
export function classifyFailure(
  error: unknown,
  observer: { failed(error: unknown): FailureClass } | undefined,
): FailureClass {
  if (observer !== undefined) return observer.failed(error);
  const isDisconnect = error instanceof DBAPIError && error.connectionInvalidated;
  return { isDisconnect, invalidatesPool: true };
}

/**
 * Errors that listeners of `handleError` were told of, and what they gave in place of them. The original
 * travels through the library, which acts on it; the replacement is what the caller gets.
 */
export class ErrorReplacements {
  readonly #replacements = new WeakMap<object, unknown>();

  set(error: unknown, replacement: unknown): void {
    if (typeof error !== 'object' || error === null) return;
    const takesCause = replacement instanceof Error && Object.isExtensible(replacement);
    if (takesCause && replacement.cause === undefined && replacement !== error) replacement.cause = error;
    this.#replacements.set(error, replacement);
  }

  /** True: listeners were told of it. */
  has(error: unknown): boolean {
    return error instanceof Error && this.#replacements.has(error);
  }

  get(error: unknown): unknown {
    return typeof error === 'object' && error !== null ? this.#replacements.get(error) : undefined;
  }
}

type ChangeableFailure<Connection> = {
  -readonly [Name in keyof HandleErrorEvent<Connection>]: HandleErrorEvent<Connection>[Name];
};

/**
 * Emits what happens on one connection: to its listeners, to those of its engine, to the channels and the
 * log.
 */
export class ConnectionObserver<Connection> implements TransactionObserver {
  readonly parts: ObserverParts<Connection>;
  readonly #subject: ObservedSubject<Connection>;

  constructor(parts: ObserverParts<Connection>, subject: ObservedSubject<Connection>) {
    this.parts = parts;
    this.#subject = subject;
  }

  /** What each event says of where it happened. */
  get place(): ConnectionEvent<Connection> {
    return { engine: this.parts.owner.engine, connection: this.#subject.connection };
  }

  /** Listeners of the connection first, those of the engine behind them. */
  emit<Name extends keyof ConnectionEvents<Connection>>(
    name: Name,
    event: EventOf<ConnectionEvents<Connection>, Name>,
    take?: (answer: AnswerOf<ConnectionEvents<Connection>, Name>) => void,
  ): void {
    this.#subject.hub.emit(name, event, take);
  }

  line(
    event: string,
    message: string,
    fields?: Readonly<Record<string, unknown>>,
    token = this.#token(),
  ): void {
    this.parts.log.info(event, prefixed(message, token), { ...fields, ...(token && { token }) });
  }

  debugLine(event: string, message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.parts.log.debug(event, prefixed(message, this.#token()), fields);
  }

  #token(): string | undefined {
    return this.#subject.options().loggingToken ?? undefined;
  }

  /** Where a statement is about to be run. */
  statementPlace(): StatementPlace<Connection> {
    const { connection, scope } = this.#subject;
    return { engine: this.parts.owner.engine, connection, id: this.parts.ids.next(), scope };
  }

  begin(transaction: ObservedTransaction): void {
    this.emit('begin', this.eventOf(transaction));
  }

  commit(transaction: ObservedTransaction): void {
    this.emit('commit', this.eventOf(transaction));
  }

  commitResolved(resolved: Parameters<TransactionObserver['commitResolved']>[0]): void {
    const { transactionId = 'a transaction without an id', outcome } = resolved;
    this.line('commit', `COMMIT of ${transactionId}: ${outcome}`, { ...resolved });
    this.emit('commitResolved', { ...this.place, ...resolved });
  }

  rollback(transaction: ObservedTransaction): void {
    this.emit('rollback', this.eventOf(transaction));
  }

  savepoint(transaction: ObservedTransaction): void {
    this.emit('savepoint', this.eventOf(transaction));
  }

  rollbackSavepoint(transaction: ObservedTransaction, name: string | undefined): void {
    this.emit('rollbackSavepoint', this.eventOf(transaction, name));
  }

  releaseSavepoint(transaction: ObservedTransaction, name: string | undefined): void {
    this.emit('releaseSavepoint', this.eventOf(transaction, name));
  }

  /** The one event of a transaction; made here where it began unobserved. */
  eventOf(transaction: ObservedTransaction, name?: string): TransactionEvent<Connection> {
    const { parent } = transaction;
    transaction.observation ??= new TransactionEvent<Connection>(this.place, transaction, {
      id: this.parts.ids.next(),
      scope: this.#subject.scope,
      parent: parent && this.eventOf(parent),
    });
    const event = transaction.observation as TransactionEvent<Connection>;
    event.name ??= name;
    return event;
  }

  copyProgress(progress: CopyProgress): void {
    this.emit('copyProgress', { ...this.place, ...progress });
  }

  engineConnect(): void {
    this.emit('engineConnect', this.place);
  }

  /** The options as the listeners leave them. */
  setOptions(options: ExecutionOptions): ExecutionOptions {
    const event: OptionsEvent<Connection> = { ...this.place, options: { ...options } };
    this.emit('setConnectionExecutionOptions', event);
    return event.options;
  }

  sent(text: string): void {
    const [word = text] = text.split(' ');
    this.line(word.toLowerCase(), text, { sql: text });
  }

  /** A listener that was stopped from outside leaves the session in an unknown state, as the driver would. */
  interrupted(error: unknown): boolean {
    const isInterrupted = error instanceof Error && error.name === 'AbortError';
    if (isInterrupted) this.#subject.invalidate(error);
    return isInterrupted;
  }

  /**
   * Asks `handleError` what the failure means, and for an error to be thrown instead; see {@link
   * replacementOf}.
   */
  failed(error: unknown, facts: FailureFacts = {}): FailureClass {
    const isPrePing = facts.isPrePing ?? false;
    const isDisconnect = isPrePing || (error instanceof DBAPIError && error.connectionInvalidated);
    const { startedAt } = facts.event ?? {};
    const failure = {
      duration: startedAt === undefined ? undefined : performance.now() - startedAt,
      error,
      originalError: error instanceof DBAPIError ? (error.cause ?? error) : error,
      chainedError: undefined,
      statement: error instanceof DBAPIError ? error.statement : (facts.statement ?? facts.event?.sql),
      parameters: error instanceof DBAPIError ? error.parameters : facts.parameters,
      isConnecting: facts.isConnecting ?? false,
      isPrePing,
      isDisconnect,
      invalidatesPool: true,
    };
    const event = Object.assign(facts.event ?? this.place, failure) as ChangeableFailure<Connection>;
    if (this.#subject.options().skipUserErrorEvents === true) return event;
    try {
      this.emit('handleError', event, (answer) => {
        if (answer instanceof Error) event.chainedError = answer;
      });
    } catch (thrown) {
      event.chainedError = thrown;
    }
    if (error instanceof DBAPIError) error.connectionInvalidated = event.isDisconnect;
    this.parts.replacements.set(error, event.chainedError ?? error);
    return event;
  }

  /**
   * No connection came from the pool: what is thrown to the caller. A full pool is not a failed connection.
   */
  connectFailed(error: unknown): unknown {
    if (!(error instanceof DBAPIError)) return error;
    this.failed(error, { isConnecting: true });
    return this.replacementOf(error);
  }

  /** A ping before a checkout has failed. */
  prePingFailed(error: unknown): FailureClass & { readonly error: unknown } {
    const { isDisconnect, invalidatesPool } = this.failed(error, { isPrePing: true });
    return {
      isDisconnect,
      invalidatesPool: isDisconnect && invalidatesPool,
      error: this.replacementOf(error),
    };
  }

  /** What is thrown to the user for `error`. */
  replacementOf(error: unknown): unknown {
    return this.parts.replacements.get(error) ?? error;
  }
}

function prefixed(message: string, token: string | undefined): string {
  return token === undefined || token === '' ? message : `[${token}] ${message}`;
}
