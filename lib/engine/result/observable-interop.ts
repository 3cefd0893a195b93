/** Takes what an Observable emits; every handler may be left out. */
export interface RowObserver<T> {
  /** Called first, before anything is read. */
  start?: ((subscription: RowSubscription) => void) | undefined;
  /** Called with each element. */
  next?: ((value: T) => void) | undefined;
  /** Called when reading has failed; nothing comes after it. */
  error?: ((error: unknown) => void) | undefined;
  /** Called behind the last element. */
  complete?: (() => void) | undefined;
}

/** One subscription to the elements of a stream. */
export interface RowSubscription {
  /** Closes the cursor at once; nothing is delivered any more, not even the rest of the batch at hand. */
  unsubscribe(): void;
  readonly closed: boolean;
}

/** The least that RxJS and the Observable proposal ask of a foreign Observable. */
export interface InteropObservable<T> {
  /** Starts the stream; the elements are pushed as they arrive, without back-pressure. */
  subscribe(
    observerOrNext?: RowObserver<T> | ((value: T) => void) | null,
    error?: ((error: unknown) => void) | null,
    complete?: (() => void) | null,
  ): RowSubscription;
  /** This object itself: by this name libraries find each other's Observables. */
  '@@observable'(): InteropObservable<T>;
}

/**
 * Where the elements come from: `read` resolves to the next ones, an empty list at the end, and `close` stops
 * it.
 */
export interface PushSource<T> {
  read(): Promise<readonly T[]>;
  close(failure?: unknown): Promise<void>;
}

/**
 * `Symbol.observable` where a library has defined it; plain Node has none, and everyone then looks for
 * `'@@observable'`.
 */
export function observableSymbol(): symbol | undefined {
  const symbol: unknown = Reflect.get(Symbol, 'observable');
  return typeof symbol === 'symbol' ? symbol : undefined;
}

/**
 * An Observable over `source`, which starts with the subscription; nothing is delivered before `subscribe`
 * has returned.
 */
export function toInteropObservable<T>(source: PushSource<T>): InteropObservable<T> {
  const observable: InteropObservable<T> = {
    subscribe: (observerOrNext, error, complete) => {
      const push = new Push(source, toObserver(observerOrNext, error, complete));
      push.start();
      return push;
    },
    '@@observable': () => observable,
  };
  const symbol = observableSymbol();
  if (symbol !== undefined) Object.defineProperty(observable, symbol, { value: () => observable });
  return observable;
}

function toObserver<T>(
  observerOrNext: RowObserver<T> | ((value: T) => void) | null | undefined,
  error: ((error: unknown) => void) | null | undefined,
  complete: (() => void) | null | undefined,
): RowObserver<T> {
  if (typeof observerOrNext !== 'function' && observerOrNext) return observerOrNext;
  return { next: observerOrNext ?? undefined, error: error ?? undefined, complete: complete ?? undefined };
}

/** One subscription: pushes batch after batch, because an Observable has no way to ask for less. */
class Push<T> implements RowSubscription {
  readonly #source: PushSource<T>;
  readonly #observer: RowObserver<T>;
  #state: 'delivering' | 'closed' = 'delivering';

  constructor(source: PushSource<T>, observer: RowObserver<T>) {
    this.#source = source;
    this.#observer = observer;
  }

  get closed(): boolean {
    return this.#state === 'closed';
  }

  start(): void {
    try {
      this.#observer.start?.(this);
    } catch (error) {
      this.#fail(error);
    }
    if (!this.closed) void this.#run();
  }

  unsubscribe(): void {
    if (this.closed) return;
    this.#state = 'closed';
    this.#stop();
  }

  async #run(): Promise<void> {
    let elements: readonly T[];
    do {
      try {
        elements = await this.#source.read();
      } catch (error) {
        this.#finish(() => (this.#observer.error ? this.#observer.error(error) : reportUncaught(error)));
        return;
      }
      this.#deliver(elements);
    } while (elements.length > 0 && !this.closed);
    this.#finish(() => this.#observer.complete?.());
  }

  #deliver(elements: readonly T[]): void {
    try {
      for (const element of elements) {
        if (this.closed) return;
        this.#observer.next?.(element);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #finish(tell: () => void): void {
    if (this.closed) return;
    this.#state = 'closed';
    try {
      tell();
    } catch (error) {
      reportUncaught(error);
    }
  }

  // The consumer itself failed: it cannot be told, and reading stops.
  #fail(error: unknown): void {
    this.#state = 'closed';
    this.#stop(error);
    reportUncaught(error);
  }

  // After unsubscribing no observer is left to hear that closing failed; the source has invalidated the
  // connection by then.
  #stop(failure?: unknown): void {
    this.#source.close(failure).catch(() => undefined);
  }
}

// As the proposal and RxJS have it: an error that no observer takes is an uncaught one, and never a rejected
// promise.
function reportUncaught(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
