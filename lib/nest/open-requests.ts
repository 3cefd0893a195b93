import type { EngineLogger, Lease, Scope } from '../engine/index.js';

/** `arriving`: in front of its handler. `gone`: its client left while it was there. */
type RequestState = 'arriving' | 'gone' | 'entered';

/** One HTTP request between its arrival and the end of its response: keeps its scope open meanwhile. */
export class OpenRequest {
  readonly #scope: Scope;
  readonly #logger: EngineLogger;
  readonly #lease: Lease;
  #state: RequestState = 'arriving';

  constructor(scope: Scope, logger: EngineLogger) {
    this.#scope = scope;
    this.#logger = logger;
    this.#lease = scope.lease();
  }

  /** The handler has begun and keeps the scope open by itself. */
  enter(): void {
    if (this.#state === 'gone') this.#release();
    this.#state = 'entered';
  }

  /** The response is closed. Guards may run still, and what they wait for is not pulled away, nor is the handler. */
  leave(isAnswered: boolean, orphanTimeout: number): void {
    if (this.#state === 'arriving' && !isAnswered) this.#state = 'gone';
    else this.#release();
    if (this.#scope.isOpen) setTimeout(() => this.#endOrphan(orphanTimeout), orphanTimeout).unref();
  }

  #endOrphan(orphanTimeout: number): void {
    if (!this.#scope.isOpen) return;
    if (this.#state === 'gone') return this.#release();
    this.#logger.warn(
      `${this.#scope.origin} still runs ${orphanTimeout} ms after its client has gone. ` +
        `Let the handler watch for the end of its request, or give its statements a timeout.`,
    );
  }

  #release(): void {
    this.#lease.release().catch((error: unknown) => this.#logger.error(String(error)));
  }
}

/** The HTTP requests of one module, by their scopes: the middleware opens them, the interceptor enters them. */
export class OpenRequests {
  readonly #requests = new WeakMap<Scope, OpenRequest>();

  open(scope: Scope, logger: EngineLogger): OpenRequest {
    const request = new OpenRequest(scope, logger);
    this.#requests.set(scope, request);
    return request;
  }

  enter(scope: Scope): void {
    this.#requests.get(scope)?.enter();
  }
}
