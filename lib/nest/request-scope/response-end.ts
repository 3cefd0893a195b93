import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** `finished`: handed over to the operating system. `cut`: its client went away before. */
type ResponseOutcome = 'open' | 'finished' | 'cut';

/**
 * Tells once that a response is over, however it ends: it is finished, its client goes away, or was gone
 * before.
 *
 * Node emits `close` on the response that owns the socket only. Responses that wait behind it (pipelined
 * requests) end with the socket, and those of adapters without a socket (serverless) with `finish`.
 */
export class ResponseEnd {
  readonly #response: ServerResponse;
  #outcome: ResponseOutcome = 'open';
  readonly #listeners: (() => void)[] = [];

  constructor(request: IncomingMessage, response: ServerResponse, sockets: SocketEnds) {
    this.#response = response;
    const { socket } = request as { readonly socket?: Socket };
    if (isClosed(response) || socket?.destroyed === true) {
      this.#outcome = outcomeOf(response);
      return;
    }
    response.on('close', () => this.#settle(outcomeOf(response)));
    // The compatible response of HTTP/2 emits `finish` when it was cancelled, too.
    if (request.httpVersionMajor < 2) response.on('finish', () => this.#settle('finished'));
    if (response.socket === null && socket !== undefined) {
      this.onEnd(sockets.onEnd(socket, () => this.#settle('cut')));
    }
  }

  get outcome(): ResponseOutcome {
    return this.#outcome;
  }

  /** True once the application has answered, also where the client did not wait for the last byte. */
  get isAnswered(): boolean {
    return this.#outcome === 'finished' || this.#response.writableEnded;
  }

  /** True once a part of the answer is on its way: no error can be answered any more. */
  get isStarted(): boolean {
    return this.#response.headersSent;
  }

  /** Calls `listener` when the response is over; at once where it already is. */
  onEnd(listener: () => void): void {
    if (this.#outcome === 'open') this.#listeners.push(listener);
    else listener();
  }

  #settle(outcome: ResponseOutcome): void {
    if (this.#outcome !== 'open') return;
    this.#outcome = outcome;
    for (const listener of this.#listeners) listener();
  }
}

/** The sockets behind pipelined requests, each with one listener, however many requests wait on it. */
export class SocketEnds {
  readonly #listeners = new WeakMap<Socket, Set<() => void>>();

  /** Calls `listener` when `socket` is closed, unless what this returns is called before. */
  onEnd(socket: Socket, listener: () => void): () => void {
    let listeners = this.#listeners.get(socket);
    if (listeners === undefined) {
      const added = new Set<() => void>();
      socket.once('close', () => added.forEach((call) => call()));
      this.#listeners.set(socket, added);
      listeners = added;
    }
    listeners.add(listener);
    return () => listeners.delete(listener);
  }
}

function isClosed(response: ServerResponse): boolean {
  return response.destroyed || response.closed;
}

function outcomeOf({ writableFinished }: ServerResponse): ResponseOutcome {
  return writableFinished ? 'finished' : 'cut';
}
