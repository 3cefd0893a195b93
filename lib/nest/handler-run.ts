import type { ServerResponse } from 'node:http';
import type { Observable, Subscriber, Subscription } from 'rxjs';
import type { EngineLogger, Lease, Scope } from '../engine/index.js';
import { HeldValue } from './held-value.js';
import { isStreamedBody } from './streamed-body.js';

/** How the handler answers. */
export interface HandlerKind {
  /** Node's response, over HTTP. */
  readonly response: ServerResponse | undefined;
  /** `last`: one value is answered, the last. `each`: every value goes out, the moment it is there for `events`. */
  readonly values: 'last' | 'each' | 'events';
  /** False: it is a part of a larger operation, with whose end the transaction ends. */
  readonly endsUnit: boolean;
}

/** One run of a handler: keeps its scope open until it has ended and decides what becomes of the scope's transaction. */
export class HandlerRun {
  readonly #scope: Scope;
  readonly #logger: EngineLogger;
  readonly #kind: HandlerKind;
  readonly #lease: Lease;
  #state: 'running' | 'ended' = 'running';
  #source: Subscription | undefined;

  constructor(scope: Scope, logger: EngineLogger, kind: HandlerKind) {
    this.#scope = scope;
    this.#logger = logger;
    this.#kind = kind;
    this.#lease = scope.lease();
  }

  follow(source: Observable<unknown>, out: Subscriber<unknown>): void {
    const held = new HeldValue(this.#kind.values, out);
    this.#source = source.subscribe({
      next: (value) => held.take(value),
      error: (error: unknown) => {
        held.drop();
        void this.#fail(error, out);
      },
      complete: () => void this.#complete(held.keep(), out),
    });
  }

  /** Nobody waits for the handler any more. */
  abandon(): void {
    this.#source?.unsubscribe();
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    void this.#settleLate(() => this.#scope.fail());
  }

  async #complete(held: readonly unknown[], out: Subscriber<unknown>): Promise<void> {
    this.#state = 'ended';
    const { response } = this.#kind;
    if (response !== undefined && held.some(isStreamedBody)) {
      // The body is produced while it is sent: the transaction ends with it. HTTP/2 has no writableFinished.
      let isSent = false;
      response.once('finish', () => {
        isSent = true;
      });
      response.once('close', () => {
        void this.#settleLate(() => (isSent ? this.#scope.complete() : this.#scope.fail()));
      });
    } else {
      try {
        await this.#settle(() => this.#scope.complete());
      } catch (error) {
        return out.error(error);
      }
    }
    for (const value of held) out.next(value);
    out.complete();
  }

  // The rollback is over before an exception filter runs: what the filter writes is its own.
  async #fail(error: unknown, out: Subscriber<unknown>): Promise<void> {
    this.#state = 'ended';
    await this.#settleLate(() => this.#scope.fail());
    out.error(error);
  }

  /** Where a failure can no longer be answered, it is at least reported. */
  async #settleLate(end: () => Promise<unknown>): Promise<void> {
    await this.#settle(end).catch((error: unknown) =>
      this.#logger.error(`${this.#scope.origin}: ${String(error)}`),
    );
  }

  async #settle(end: () => Promise<unknown>): Promise<void> {
    try {
      if (this.#kind.endsUnit) await end();
    } finally {
      await this.#lease.release();
    }
  }
}
