import type { Observable, Subscriber, Subscription } from 'rxjs';
import type { UnitOfWork } from '../../engine/index.js';
import { printable } from '../../engine/util/logger.js';
import { DeferredResponse, type HandlerValues } from './deferred-response.js';
import type { HandlerUnit } from './handler-unit.js';

/** How a handler answers. */
export interface HandlerKind {
  readonly values: HandlerValues;
  /** True: the scope was opened for this handler, and what is around it is outside of the scope. */
  readonly hasOwnScope: boolean;
  /** How long a handler that has answered nothing may run on after its client has gone, in ms. */
  readonly orphanTimeout: number;
}

/** `orphaned`: its client has gone, and it has not answered yet. */
type ExecutionState = 'running' | 'orphaned' | 'ended';

/** One run of a handler that answers with an Observable, as each does behind interceptors. */
export class HandlerExecution {
  readonly #unit: HandlerUnit;
  readonly #kind: HandlerKind;
  readonly #out: Subscriber<unknown>;
  readonly #deferred: DeferredResponse;
  #state: ExecutionState = 'running';
  #source: Subscription | undefined;
  #runs: UnitOfWork[] = [];
  #activeRuns = 0;
  #hasRun = false;
  #hasSucceeded = false;
  #undoing: Promise<void> | undefined;
  #orphanTimer: NodeJS.Timeout | undefined;

  constructor(unit: HandlerUnit, kind: HandlerKind, out: Subscriber<unknown>) {
    this.#unit = unit;
    this.#kind = kind;
    this.#out = out;
    this.#deferred = new DeferredResponse(kind.values, (value) => this.#answer(value));
  }

  /** Runs the handler as a unit of the scope: what it leaves running is refused after its end. */
  follow(handle: () => Observable<unknown>): void {
    // Subscribed to in the unit, too: that is when an Observable of the handler runs.
    this.#unit.work.run(() => {
      this.#source = handle().subscribe({
        next: (value) => this.#deferred.take(value),
        error: (error: unknown) => {
          this.#deferred.takeAll();
          void this.#fail(error);
        },
        complete: () => this.#complete(this.#deferred.takeAll()),
      });
    });
    if (this.#state === 'ended') this.#source?.unsubscribe();
    else this.#unit.onCut(() => this.#orphan());
  }

  /** What the former runs wrote must not be stored with the next one. Undefined: there is nothing to undo. */
  prepareRun(): Promise<void> | undefined {
    return this.#hasRun && this.#activeRuns === 0 ? this.#undoRuns() : this.#undoing;
  }

  /** Opens a run of the handler, inside all interceptors. */
  openRun(): UnitOfWork {
    const run = this.#unit.scope.openRun();
    this.#runs.push(run);
    return run;
  }

  runStarted(): void {
    this.#activeRuns += 1;
  }

  runSucceeded(): void {
    this.#activeRuns -= 1;
    this.#hasRun = true;
    this.#hasSucceeded = true;
  }

  /**
   * A run has failed, or was left before it gave a value. It is undone before interceptors go on: they may
   * answer without it.
   */
  async runFailed(): Promise<void> {
    this.#activeRuns -= 1;
    this.#hasRun = true;
    if (this.#activeRuns === 0 && !this.#hasSucceeded) await this.#undoRuns();
  }

  #undoRuns(): Promise<void> | undefined {
    if (this.#state === 'ended' || !this.#unit.endsUnit) return undefined;
    this.#undoing = this.#undo();
    return this.#undoing;
  }

  async #undo(): Promise<void> {
    if (!(await this.#unit.undoRuns(this.#runs))) return;
    this.#runs = [];
    this.#hasRun = false;
    this.#hasSucceeded = false;
  }

  /**
   * The response or the message that the handler works for is over, or its client has gone: a stream is
   * stopped at once, and what has answered nothing after `orphanTimeout`.
   */
  abandon(): void {
    if (this.#mayBePromise) this.#orphan();
    else this.#stop();
  }

  // A promise can't be stopped: the connection is not pulled from under it, and what it does is stored.
  get #mayBePromise(): boolean {
    return this.#state === 'running' && this.#kind.values === 'each' && this.#deferred.isEmpty;
  }

  #orphan(): void {
    if (this.#state !== 'running') return;
    this.#state = 'orphaned';
    this.#stopLater();
  }

  #stopLater(): void {
    const { orphanTimeout, values } = this.#kind;
    const { scope, logger } = this.#unit;
    this.#orphanTimer = setTimeout(() => {
      // Over HTTP, a promise runs to its end. A value without an end is not one of a promise: a `finalize()`
      // of an interceptor has thrown, or a stream goes on.
      if (values === 'last' && this.#deferred.isEmpty) return this.#stopLater();
      logger.warn(
        printable(
          `${scope.origin} was still running ${orphanTimeout} ms after its client disconnected and was rolled back.`,
        ),
      );
      this.#stop();
    }, orphanTimeout).unref();
  }

  #answer(value: unknown): void {
    // It has answered and goes on: a stream, which can be stopped.
    if (this.#state === 'orphaned') return this.#stop();
    this.#tell(() => this.#out.next(value));
  }

  #stop(): void {
    const isFirst = this.#state !== 'ended';
    this.#end();
    this.#source?.unsubscribe();
    if (isFirst) void this.#unit.fail();
  }

  #end(): void {
    this.#state = 'ended';
    clearTimeout(this.#orphanTimer);
  }

  #complete(values: readonly unknown[]): void {
    this.#end();
    // Nest answers a route that gives no value with an error.
    const isRefused = this.#kind.values === 'last' && this.#deferred.isEmpty;
    const complete = (): Promise<void> | undefined =>
      isRefused ? this.#unit.fail() : this.#unit.complete(values);
    const settling = this.#undoing === undefined ? complete() : this.#undoing.then(complete);
    const answer = (): void => {
      for (const value of values) this.#out.next(value);
      this.#out.complete();
    };
    if (settling === undefined) return this.#tell(answer);
    settling.then(
      () => this.#tell(answer),
      (error: unknown) => {
        this.#unit.commitFailed(error, this.#out.closed);
        this.#reject(error);
      },
    );
  }

  // The rollback is over before an exception filter runs: what the filter writes is its own.
  async #fail(error: unknown): Promise<void> {
    this.#end();
    await this.#undoing;
    await this.#unit.fail();
    this.#reject(this.#unit.exceptionFor(error));
  }

  #reject(error: unknown): void {
    this.#tell(() => this.#out.error(error));
  }

  /**
   * What is around the handler, such as an exception filter, may write: beside the unit where its scope is
   * that of the request and still open, or outside of the scope.
   */
  #tell(work: () => void): void {
    const { scope } = this.#unit;
    if (scope.isOpen && !this.#kind.hasOwnScope) scope.run(work);
    else scope.runOutside(work);
  }
}
