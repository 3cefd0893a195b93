import { onAbort } from './on-abort.js';

/** Says that a wait has ended, and why: it can be asked, and listened to. */
export type WaitSignal = AbortSignal | WaitEnd;

/** Who hears that a wait has ended. */
export interface EndListener {
  ended(reason: unknown): void;
}

/**
 * Ends a wait. An AbortController does the same and takes several times as long to make, to hear of and to
 * leave: this is for waits that begin and end with each statement.
 */
export class WaitEnd {
  /** Changed here alone. */
  aborted = false;
  reason: unknown;
  /** Mostly the only one. */
  #listener: EndListener | undefined;
  #others: Set<EndListener> | undefined;
  #controller: AbortController | undefined;

  /** The same for those who take nothing else; made when it is first asked for. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.aborted) this.#controller.abort(this.reason);
    }
    return this.#controller.signal;
  }

  /** The first reason counts. */
  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    this.#listener?.ended(reason);
    for (const listener of this.#others ?? []) listener.ended(reason);
    this.#controller?.abort(reason);
  }

  /** Tells `listener` when it is aborted, until {@link ignore} is called. */
  listen(listener: EndListener): void {
    if (this.#listener === undefined) this.#listener = listener;
    else (this.#others ??= new Set()).add(listener);
  }

  ignore(listener: EndListener): void {
    if (this.#listener === listener) this.#listener = undefined;
    else this.#others?.delete(listener);
  }

  /** Runs `work`, during which it is aborted when one of `signals` is. */
  async follow<T>(signals: readonly (WaitSignal | undefined)[], work: () => Promise<T>): Promise<T> {
    const forgets: (() => void)[] = [];
    for (const signal of signals) {
      if (signal?.aborted === true) this.abort(signal.reason);
      else if (signal !== undefined) forgets.push(whenAborted(signal, () => this.abort(signal.reason)));
    }
    try {
      return await work();
    } finally {
      for (const forget of forgets) forget();
    }
  }
}

/** Calls `listener` when `signal` is aborted, until the function that you get is called. */
function whenAborted(signal: WaitSignal, listener: () => void): () => void {
  if (!(signal instanceof WaitEnd)) return onAbort(signal, listener);
  const heard = { ended: listener };
  signal.listen(heard);
  return () => signal.ignore(heard);
}
