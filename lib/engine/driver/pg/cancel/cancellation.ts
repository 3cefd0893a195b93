import type { Client } from 'pg';
import { OperationalError } from '../../../errors/server-errors.js';
import { startGrace, unref } from '../../../util/clock.js';
import { sendCancelRequest } from './cancel-request.js';

/** How long a canceled statement may take to end before the session is dropped. */
const CANCEL_GRACE = 5_000;
/** How long until the server is asked once more to cancel a statement that runs on. */
const CANCEL_AGAIN = 100;

/** What a cancellation needs of its session. */
export interface CancellationHost {
  /** No request is under way any more: statements may be sent again. */
  onDelivered(): void;
  /** The statement could not be canceled; the session ends. */
  onFailed(cause: unknown): void;
}

/** The requests to cancel what a session runs, one statement at a time. */
export class Cancellation {
  readonly #client: Client;
  readonly #host: CancellationHost;
  /** Requests under way. Nothing is written until they are delivered: they would hit the next statement. */
  #pending = 0;
  /** Which statement is meant; each end of one counts. */
  #statement = 0;
  #endGrace: (() => void) | undefined;
  #again: NodeJS.Timeout | undefined;

  constructor(client: Client, host: CancellationHost) {
    this.#client = client;
    this.#host = host;
  }

  get isPending(): boolean {
    return this.#pending > 0;
  }

  /** Asks the server to cancel what runs now; resolves when the request is delivered. */
  async start(): Promise<void> {
    this.#endGrace ??= startGrace(() => {
      this.#host.onFailed(new OperationalError(`a canceled statement did not end within ${CANCEL_GRACE} ms`));
    }, CANCEL_GRACE);
    await this.#request(this.#statement);
  }

  /** The statement has ended: its timers must not keep what it held. */
  end(): void {
    this.#statement += 1;
    this.#endGrace?.();
    clearTimeout(this.#again);
    this.#endGrace = undefined;
    this.#again = undefined;
  }

  async #request(statement: number): Promise<void> {
    this.#pending += 1;
    try {
      await sendCancelRequest(this.#client, CANCEL_GRACE);
      // A cancel request that arrives before the statement starts is ignored, so it is repeated.
      if (this.#statement === statement)
        this.#again = unref(setTimeout(() => void this.#request(statement), CANCEL_AGAIN));
    } catch (error) {
      // Otherwise the caller would wait until the statement finishes by itself.
      if (this.#statement === statement) this.#host.onFailed(error);
    } finally {
      this.#pending -= 1;
      this.#host.onDelivered();
    }
  }
}
