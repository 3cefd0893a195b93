import type { Observable, Subscriber, Subscription } from 'rxjs';
import type { EngineLogger, Lease, Scope, UnitOfWork } from '../../engine/index.js';
import { DeferredResponse } from './deferred-response.js';
import type { HandlerValues } from './deferred-response.js';
import type { ResponseEnd } from './response-end.js';
import { isStreamedBody } from './streamed-body.js';

/** How a handler answers. What most handlers need not know is asked when it is needed. */
export interface HandlerKind {
  readonly values: HandlerValues;
  /** Over HTTP. */
  readonly response: ResponseEnd | undefined;
  /** True: the scope was opened for this handler, and what is around it is outside of the scope. */
  readonly hasOwnScope: boolean;
  /** False: it is a part of a larger operation, with whose end the transaction ends. */
  endsUnit(): boolean;
  /** How long a handler that has answered nothing may run on after its client has gone, in ms. */
  readonly orphanTimeout: number;
}

type UnitEnd = 'complete' | 'fail';

/** `orphaned`: its client has gone, and it has not answered yet. */
type ExecutionState = 'running' | 'orphaned' | 'ended';

/**
 * One run of a handler: keeps its scope open until it has ended and decides what becomes of the scope's
 * transaction.
 */
export class HandlerExecution {
  readonly #scope: Scope;
  readonly #logger: EngineLogger;
  readonly #kind: HandlerKind;
  readonly #lease: Lease;
  readonly #out: Subscriber<unknown>;
  readonly #deferred: DeferredResponse;
  #state: ExecutionState = 'running';
  #source: Subscription | undefined;
  #runs: UnitOfWork[] = [];
  #activeRuns = 0;
  #hasRun = false;
  #orphanTimer: NodeJS.Timeout | undefined;

  constructor(scope: Scope, logger: EngineLogger, kind: HandlerKind, out: Subscriber<unknown>) {
    this.#scope = scope;
    this.#logger = logger;
    this.#kind = kind;
    this.#lease = scope.lease();
    this.#out = out;
    this.#deferred = new DeferredResponse(kind.values, (value) => this.#answer(value));
  }

  /** Runs the handler as a unit of the scope: what it leaves running is refused after its end. */
  follow(handle: () => Observable<unknown>): void {
    // Subscribed to in the unit, too: that is when an Observable of the handler runs.
    this.#scope.openUnit().run(() => {
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
    if (!this.#kind.endsUnit() || !(await this.#scope.undoRuns(this.#runs))) return;
    this.#runs = [];
    this.#hasRun = false;
  }

  /** Opens a run of the handler, inside all interceptors. */
  openRun(): UnitOfWork {
    const run = this.#scope.openRun();
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
    this.#orphanTimer = setTimeout(() => {
      this.#logger.warn(
        `${this.#scope.origin} was still running ${orphanTimeout} ms after its client disconnected and was rolled back.`,
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
    void this.#settleLate('fail');
  }

  #end(): void {
    this.#state = 'ended';
    clearTimeout(this.#orphanTimer);
  }

  #complete(values: readonly unknown[]): void {
    this.#end();
    const { response } = this.#kind;
    const isStreamed = response !== undefined && values.some(isStreamedBody);
    // The body is produced while it is sent: the transaction ends with the response.
    if (isStreamed)
      response.onEnd(() => void this.#settleLate(response.outcome === 'finished' ? 'complete' : 'fail'));
    const settling = isStreamed ? undefined : this.#settle('complete');
    const answer = (): void => {
      for (const value of values) this.#out.next(value);
      this.#out.complete();
    };
    if (settling === undefined) return this.#tell(answer);
    settling.then(
      () => this.#tell(answer),
      (error: unknown) => this.#commitFailed(error),
    );
  }

  #commitFailed(error: unknown): void {
    if (this.#kind.response?.isStarted === true) {
      this.#logger.error(
        `${this.#scope.origin} answered before its COMMIT, which failed. Return the body or use ` +
          `@Res({ passthrough: true }), so that a failed COMMIT is the answer. ${String(error)}`,
      );
    } else if (this.#out.closed) this.#logger.error(`${this.#scope.origin}: ${String(error)}`);
    this.#reject(error);
  }

  // The rollback is over before an exception filter runs: what the filter writes is its own.
  async #fail(error: unknown): Promise<void> {
    this.#end();
    await this.#settleLate('fail');
    this.#reject(error);
  }

  #reject(error: unknown): void {
    this.#tell(() => this.#out.error(error));
  }

  /**
   * What is around the handler, such as an exception filter, may write: beside the unit where its scope is
   * that of the request and still open, or outside of the scope.
   */
  #tell(work: () => void): void {
    if (this.#scope.isOpen && !this.#kind.hasOwnScope) this.#scope.run(work);
    else this.#scope.runOutside(work);
  }

  /** Where a failure can no longer be answered, it is at least reported. */
  async #settleLate(end: UnitEnd): Promise<void> {
    try {
      await this.#settle(end);
    } catch (error) {
      this.#logger.error(`${this.#scope.origin}: ${String(error)}`);
    }
  }

  /**
   * Ends the unit and lets go of the scope; undefined where there is nothing to wait for, as in most
   * requests.
   */
  #settle(end: UnitEnd): Promise<void> | undefined {
    if (!this.#kind.endsUnit()) return this.#lease.release();
    if (this.#scope.transaction !== undefined) return this.#settleUnit(end);
    void this.#scope[end]();
    return this.#lease.release();
  }

  async #settleUnit(end: UnitEnd): Promise<void> {
    try {
      await this.#scope[end]();
    } finally {
      await this.#lease.release();
    }
  }
}
