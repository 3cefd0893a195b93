import { setImmediate as nextTurn } from 'node:timers/promises';
import { EngineError, UnexpectedRollbackError } from '../../engine/index.js';
import type { AsyncEngine, Lease, Scope } from '../../engine/index.js';
import type { RequestScopeOptions } from '../shared/database-options.interface.js';
import { printable } from '../../engine/util/logger.js';
import { isForClient } from '../shared/error-answer.js';
import { nameAndReasonOf } from '../../engine/errors/thrown.js';

/** `error` is what the answer of an operation does not tell yet. */
export type ToldOutcome =
  | { readonly end: 'undone by another'; readonly error: UnexpectedRollbackError }
  | { readonly end: 'commit failed'; readonly error: unknown };

/** How the unit of work of an operation has ended. */
export type OperationOutcome = { readonly end: 'kept' } | { readonly end: 'undone' } | ToldOutcome;

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
      unit = new UnitOfOperations(scope, (error) =>
        this.#engine.logger.error(printable(nameAndReasonOf(error))),
      );
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

function undoneByAnother(): UnexpectedRollbackError {
  return new UnexpectedRollbackError(
    'nothing of this operation was stored: another operation of its request failed, and the operations of one ' +
      'request are one unit of work. Send them one by one.',
  );
}
