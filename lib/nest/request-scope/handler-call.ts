import { isObservable, Observable } from 'rxjs';
import { Scope, type AsyncEngine, type UnitOfWork } from '../../engine/index.js';
import { isThenable } from '../../engine/util/option-rule.js';
import { HandlerExecution } from './handler-execution.js';
import { HandlerUnit } from './handler-unit.js';
import type { HttpRequestScope } from './http-request-scope.js';
import type { ResponseEnd } from './response-end.js';
import { isStreamedBody } from './streamed-body.js';

/** What the calls of all handlers have in common, for one database. */
export interface HandlerCallParts {
  readonly engine: AsyncEngine;
  readonly orphanTimeout: number;
  /** False: a larger operation ends the transaction of `scope`. */
  readonly endsUnit: (scope: Scope) => boolean;
}

/**
 * One run of a route's handler that has no interceptors around it. Its unit of work is opened when the engine
 * is first used in it; a handler that never does so pays for one frame of the async context.
 */
export class HandlerCall {
  readonly #parts: HandlerCallParts;
  readonly #source: HttpRequestScope | Scope;
  #unit: HandlerUnit | undefined;
  #state: 'running' | 'ended' = 'running';

  /** In the scope of a request, or in another one that is open already. */
  constructor(parts: HandlerCallParts, source: HttpRequestScope | Scope) {
    this.#parts = parts;
    this.#source = source;
  }

  get origin(): string {
    return this.#source.origin;
  }

  open(): { readonly scope: Scope; readonly unit?: UnitOfWork } {
    const unit = this.#unit ?? (this.#state === 'running' ? this.#openUnit() : undefined);
    if (unit !== undefined) return { scope: unit.scope, unit: unit.work };
    // Left running by a handler that had no unit: it is not late work of one.
    return this.#source instanceof Scope ? { scope: this.#source } : this.#source.open();
  }

  /** Calls the handler; what this returns, or throws, comes when its transaction has ended. */
  run(call: () => unknown): unknown {
    const { engine } = this.#parts;
    const source = this.#source;
    const unit = source instanceof Scope || source.isOpened ? this.open().unit : undefined;
    if (unit === undefined) engine.ambient.openScopes.add(this);
    if (!(source instanceof Scope)) source.handlerStarted();
    const work = (): unknown => this.#called(call());
    try {
      return unit === undefined ? engine.ambient.context.runLazily(this, work) : unit.run(work);
    } catch (error) {
      return this.#failed(error);
    }
  }

  // A thenable, such as a query builder, may begin when it is awaited: that must be inside, too.
  #called(returned: unknown): unknown {
    if (!isThenable(returned)) return this.#succeeded(returned);
    const promise = returned instanceof Promise ? returned : Promise.resolve(returned);
    return promise.then(
      (value: unknown) => this.#succeeded(value),
      (error: unknown) => this.#failed(error),
    );
  }

  #succeeded(value: unknown): unknown {
    if (isObservable(value)) return this.#observed(value);
    if (isStreamedBody(value)) this.open();
    this.#end();
    const unit = this.#unit;
    const settling = unit?.complete([value]);
    if (unit === undefined || settling === undefined) return value;
    return settling.then(
      () => value,
      (error: unknown) => {
        unit.commitFailed(error, false);
        throw error;
      },
    );
  }

  // The rollback is over before an exception filter runs: what the filter writes is its own.
  #failed(error: unknown): Promise<never> {
    this.#end();
    const unit = this.#unit;
    if (unit === undefined) throw error;
    return unit.fail().then(() => Promise.reject(unit.exceptionFor(error) as Error));
  }

  #observed(source: Observable<unknown>): Observable<unknown> {
    const { orphanTimeout } = this.#parts;
    const unit = this.#unit ?? this.#openUnit();
    return new Observable((out) => {
      const execution = new HandlerExecution(
        unit,
        { values: 'last', hasOwnScope: false, orphanTimeout },
        out,
      );
      execution.follow(() => source);
      return () => execution.abandon();
    });
  }

  #openUnit(): HandlerUnit {
    const { engine, endsUnit } = this.#parts;
    const make = (scope: Scope, response?: ResponseEnd): HandlerUnit =>
      new HandlerUnit({ scope, logger: engine.logger, response, endsUnit: () => endsUnit(scope) });
    this.#unit = this.#source instanceof Scope ? make(this.#source) : this.#source.openFor(make);
    // A shutdown waits for the scope from now on.
    engine.ambient.openScopes.remove(this);
    return this.#unit;
  }

  #end(): void {
    this.#state = 'ended';
    if (this.#unit !== undefined) return;
    this.#parts.engine.ambient.openScopes.remove(this);
    if (!(this.#source instanceof Scope)) this.#source.handlerEnded();
  }
}
