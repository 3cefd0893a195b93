import type { ServerResponse } from 'node:http';
import type { Observable, Subscriber, Subscription } from 'rxjs';
import type { EngineLogger, Lease, Scope } from '../../engine/index.js';
import { DeferredResponse } from './deferred-response.js';
import type { HandlerValues } from './deferred-response.js';
import { isStreamedBody } from './streamed-body.js';

/** How the handler answers. What most handlers need not know is asked when it is needed. */
export interface HandlerKind {
  readonly values: HandlerValues;
  /** Node's response, over HTTP. */
  responseOf(): ServerResponse | undefined;
  /** False: it is a part of a larger operation, with whose end the transaction ends. */
  endsUnit(): boolean;
  /** How long a handler that has answered nothing may run on when nobody waits for it any more, in ms. */
  readonly orphanTimeout: number;
}

type UnitEnd = 'complete' | 'fail';

/** `orphaned`: nobody waits for it, and it has not answered yet. */
type RunState = 'running' | 'orphaned' | 'ended';

/**
 * One run of a handler: keeps its scope open until it has ended and decides what becomes of the scope's
 * transaction.
 */
export class HandlerExecution {
  readonly #scope: Scope;
  readonly #logger: EngineLogger;
  readonly #kind: HandlerKind;
  readonly #lease: Lease;
  #state: RunState = 'running';
  #source: Subscription | undefined;
  #held: DeferredResponse | undefined;
  #orphanTimer: NodeJS.Timeout | undefined;

  constructor(scope: Scope, logger: EngineLogger, kind: HandlerKind) {
    this.#scope = scope;
    this.#logger = logger;
    this.#kind = kind;
    this.#lease = scope.lease();
  }

  follow(source: Observable<unknown>, out: Subscriber<unknown>): void {
    const held = new DeferredResponse(this.#kind.values, (value) => this.#answer(value, out));
    this.#held = held;
    this.#source = source.subscribe({
      next: (value) => held.take(value),
      error: (error: unknown) => {
        held.takeAll();
        void this.#fail(error, out);
      },
      complete: () => this.#complete(held.takeAll(), out),
    });
  }

  /** Nobody waits for the handler any more. */
  abandon(): void {
    const mayBePromise = this.#kind.values === 'each' && this.#held?.isEmpty === true;
    if (this.#state !== 'running' || !mayBePromise) return this.#stop();
    // A promise can't be stopped: the connection is not pulled from under it, and what it does is stored.
    this.#state = 'orphaned';
    const { orphanTimeout } = this.#kind;
    this.#orphanTimer = setTimeout(() => {
      this.#logger.warn(
        `${this.#scope.origin} ran on ${orphanTimeout} ms after its client had gone: it is undone.`,
      );
      this.#stop();
    }, orphanTimeout).unref();
  }

  #answer(value: unknown, out: Subscriber<unknown>): void {
    // It has answered and goes on: a stream, which can be stopped.
    if (this.#state === 'orphaned') return this.#stop();
    out.next(value);
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

  #complete(held: readonly unknown[], out: Subscriber<unknown>): void {
    this.#end();
    const response = held.some(isStreamedBody) ? this.#kind.responseOf() : undefined;
    if (response !== undefined) this.#settleWith(response);
    const settling = response === undefined ? this.#settle('complete') : undefined;
    const answer = (): void => {
      for (const value of held) out.next(value);
      out.complete();
    };
    if (settling === undefined) return answer();
    settling.then(answer, (error: unknown) => {
      // Nobody may listen to it any more.
      if (out.closed) this.#logger.error(`${this.#scope.origin}: ${String(error)}`);
      out.error(error);
    });
  }

  /** The body is produced while it is sent: the transaction ends with it. */
  #settleWith(response: ServerResponse): void {
    response.once('close', () => {
      void this.#settleLate(response.writableFinished ? 'complete' : 'fail');
    });
  }

  // The rollback is over before an exception filter runs: what the filter writes is its own.
  async #fail(error: unknown, out: Subscriber<unknown>): Promise<void> {
    this.#end();
    await this.#settleLate('fail');
    out.error(error);
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
