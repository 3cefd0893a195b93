import type { Observable, Subscriber, Subscription } from 'rxjs';
import type { UnitOfWork } from '../../engine/index.js';
import { printable } from '../../engine/util/logger.js';
import { DeferredResponse } from './deferred-response.js';
import type { HandlerValues } from './deferred-response.js';
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
  }

  /** True: the handler has ended, and an interceptor between it and its unit runs it again. */
  get isRepeated(): boolean {
    return this.#hasRun && this.#activeRuns === 0 && this.#state === 'running';
  }

  /** What the handler wrote in its former runs must not be stored with the next one. */
  async undoRuns(): Promise<void> {
    if (!this.#unit.endsUnit || !(await this.#unit.scope.undoRuns(this.#runs))) return;
    this.#runs = [];
    this.#hasRun = false;
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

  runEnded(): void {
    this.#activeRuns -= 1;
    this.#hasRun = true;
  }

  /** The response or the message that the handler works for is over. */
  abandon(): void {
    const mayBePromise = this.#kind.values === 'each' && this.#deferred.isEmpty;
    if (this.#state !== 'running' || !mayBePromise) return this.#stop();
    // A promise can't be stopped: the connection is not pulled from under it, and what it does is stored.
    this.#state = 'orphaned';
    const { orphanTimeout } = this.#kind;
    const { scope, logger } = this.#unit;
    this.#orphanTimer = setTimeout(() => {
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
    this.#source?.unsubscribe();
    if (this.#state === 'ended') return;
    this.#end();
    void this.#unit.fail();
  }

  #end(): void {
    this.#state = 'ended';
    clearTimeout(this.#orphanTimer);
  }

  #complete(values: readonly unknown[]): void {
    this.#end();
    const settling = this.#unit.complete(values);
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
