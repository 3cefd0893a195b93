import { setImmediate as nextTurn } from 'node:timers/promises';
import { EngineError, UnexpectedRollbackError } from '../../engine/index.js';
import type { AsyncEngine, Lease, Scope } from '../../engine/index.js';
import type { RequestScopeOptions } from '../shared/database-options.interface.js';
import { printable } from '../../engine/util/logger.js';
import { answerTo, isForClient, UNKNOWN } from '../shared/error-answer.js';

/** `error` is what the answer of an operation does not tell yet. */
type ToldOutcome =
  | { readonly end: 'undone by another'; readonly error: UnexpectedRollbackError }
  | { readonly end: 'commit failed'; readonly error: unknown };

/** How the unit of work of an operation has ended. */
export type OperationOutcome = { readonly end: 'kept' } | { readonly end: 'undone' } | ToldOutcome;

/** What a driver answers an operation with. */
export interface OperationResult {
  data?: unknown;
  errors?: unknown;
}

/** A parsed request. */
export interface GraphqlDocument {
  readonly definitions: readonly { readonly operation?: string }[];
}

const KEPT: OperationOutcome = { end: 'kept' };

/**
 * The GraphQL operations of one engine. The operations of one request are one unit of work, which ends when
 * all their fields are resolved and before an answer is written.
 */
export class GraphqlOperations {
  readonly #engine: AsyncEngine;
  readonly #options: RequestScopeOptions;
  readonly #units = new WeakMap<Scope, UnitOfOperations>();
  readonly #byContext = new WeakMap<object, GraphqlOperation>();

  constructor(engine: AsyncEngine, options: RequestScopeOptions = {}) {
    this.#engine = engine;
    this.#options = options;
  }

  /** True: the unit of this scope ends here and not with a handler. */
  covers(scope: Scope): boolean {
    return this.#units.has(scope);
  }

  /** The operation whose resolvers get `context`. */
  of(context: unknown): GraphqlOperation | undefined {
    return typeof context === 'object' && context !== null ? this.#byContext.get(context) : undefined;
  }

  /** An operation begins whose resolvers get `context`: in the scope of its request, or in one of its own. */
  begin(context: object): GraphqlOperation {
    const operation = this.#join(this.#engine.currentScope() ?? this.#openScope(context));
    this.#byContext.set(context, operation);
    return operation;
  }

  #openScope(context: unknown): Scope {
    const { commit, connection } = this.#options;
    return this.#engine.openScope({
      label: 'a GraphQL operation',
      commit,
      connection: connection && (() => connection(context)),
    });
  }

  #join(scope: Scope): GraphqlOperation {
    let unit = this.#units.get(scope);
    if (unit?.isOpen !== true) {
      unit = new UnitOfOperations(scope, (error) => this.#engine.logger.error(printable(String(error))));
      this.#units.set(scope, unit);
    }
    return new GraphqlOperation(scope, unit);
  }
}

/** One operation; keeps its scope open until it has ended, also when its client has gone. */
export class GraphqlOperation {
  readonly scope: Scope;
  readonly #unit: UnitOfOperations;
  readonly #lease: Lease;
  #ending: Promise<OperationOutcome> | undefined;

  constructor(scope: Scope, unit: UnitOfOperations) {
    this.scope = scope;
    this.#unit = unit;
    this.#lease = scope.lease();
    unit.join();
  }

  /**
   * All its fields are resolved. One of a batch waits for the others: they share the unit, and its answer
   * must not claim what the failure of another one undoes. Idempotent.
   */
  end(hasFailed: boolean, isBatched = false): Promise<OperationOutcome> {
    this.#ending ??= this.#end(hasFailed, isBatched);
    return this.#ending;
  }

  async #end(hasFailed: boolean, isBatched: boolean): Promise<OperationOutcome> {
    try {
      return await this.#unit.leave(hasFailed, isBatched);
    } finally {
      await this.#lease.release();
    }
  }
}

/** The operations that are open in one scope, and the end that they share. */
class UnitOfOperations {
  readonly #scope: Scope;
  readonly #report: (error: unknown) => void;
  readonly #outcome: Promise<OperationOutcome>;
  #settle: (outcome: OperationOutcome) => void = () => undefined;
  #open = 0;
  #state: 'open' | 'failed' | 'ended' = 'open';

  constructor(scope: Scope, report: (error: unknown) => void) {
    this.#scope = scope;
    this.#report = report;
    this.#outcome = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  get isOpen(): boolean {
    return this.#state !== 'ended';
  }

  join(): void {
    this.#open += 1;
  }

  async leave(hasFailed: boolean, isBatched: boolean): Promise<OperationOutcome> {
    // Those of a batch begin in one turn: the first one may have ended before the last has begun.
    if (isBatched) await nextTurn();
    if (hasFailed) this.#state = 'failed';
    this.#open -= 1;
    // One that a resolver executes is a part of the one around it, which waits for it.
    if (this.#open > 0 && !isBatched) return KEPT;
    if (this.#open === 0) this.#settle(await this.#end());
    const outcome = await this.#outcome;
    if (outcome.end !== 'undone' || hasFailed) return outcome;
    return { end: 'undone by another', error: undoneByAnother() };
  }

  async #end(): Promise<OperationOutcome> {
    const hasFailed = this.#state === 'failed';
    this.#state = 'ended';
    return hasFailed ? await this.#undo() : await this.#store();
  }

  async #store(): Promise<OperationOutcome> {
    try {
      await this.#scope.complete();
      return KEPT;
    } catch (error) {
      // The client is told nothing of the statement, and the log why.
      if (error instanceof EngineError && !isForClient(error)) this.#report(error);
      return { end: 'commit failed', error };
    }
  }

  async #undo(): Promise<OperationOutcome> {
    try {
      return (await this.#scope.fail()) ? { end: 'undone' } : KEPT;
    } catch (error) {
      this.#report(error);
      return { end: 'undone' };
    }
  }
}

/** An error of GraphQL, which says what the one that a resolver threw says. */
interface FieldError {
  message: string;
  readonly originalError?: unknown;
  readonly extensions?: Record<string, unknown>;
}

/**
 * Lets errors of the engine say what `DatabaseExceptionFilter` would: nothing of a statement. Nest has logged
 * them, and the application's `formatError` finds them in `originalError`.
 */
export function hideStatements(errors: unknown): void {
  if (!Array.isArray(errors)) return;
  for (const error of errors as FieldError[]) {
    const { originalError } = error;
    if (!(originalError instanceof EngineError)) continue;
    error.message = messageOf(originalError);
    if (error.extensions !== undefined) error.extensions['code'] = originalError.code;
  }
}

/** Takes back what an answer claims of an operation that is undone. */
export function correct(
  result: OperationResult,
  outcome: OperationOutcome,
  isMutation: boolean,
  format: (formatted: object, error: unknown) => unknown,
): void {
  // A query reads; what it has read stays true.
  if (outcome.end === 'kept' || (!isMutation && outcome.end !== 'commit failed')) return;
  result.data = null;
  if (outcome.end !== 'undone') result.errors = [format(asGraphqlError(outcome), outcome.error)];
}

/** An error in the shape of GraphQL, for an answer in which no field has failed. */
function asGraphqlError({ end, error }: ToldOutcome): object {
  const code = error instanceof EngineError ? error.code : 'INTERNAL_SERVER_ERROR';
  return { message: end === 'undone by another' ? error.message : messageOf(error), extensions: { code } };
}

/** Of an error of the database, as `DatabaseExceptionFilter` says it: nothing of a statement. */
function messageOf(error: unknown): string {
  if (error instanceof EngineError) return (answerTo(error) ?? UNKNOWN).message;
  return error instanceof Error ? error.message : String(error);
}

/** The same for drivers that send what `toJSON()` gives. */
export function sendable(formatted: object): object {
  return { ...formatted, toJSON: () => formatted };
}

export function hasOperation({ definitions }: GraphqlDocument, kind: 'mutation' | 'subscription'): boolean {
  return definitions.some(({ operation }) => operation === kind);
}

export function hasErrors({ errors }: OperationResult): boolean {
  return Array.isArray(errors) && errors.length > 0;
}

function undoneByAnother(): UnexpectedRollbackError {
  return new UnexpectedRollbackError(
    'nothing of this operation was stored: another operation of its request failed, and the operations of one ' +
      'request are one unit of work. Send them one by one.',
  );
}
