/** The moment at which an attempt to connect must be over, for all that it waits for. */
export class ConnectDeadline {
  /** By `performance.now()`. */
  readonly #at: number;

  private constructor(at: number) {
    this.#at = at;
  }

  /** `milliseconds` from now; undefined and 0: never. */
  static in(milliseconds: number | undefined): ConnectDeadline {
    return new ConnectDeadline(performance.now() + (milliseconds || Number.POSITIVE_INFINITY));
  }

  get isOver(): boolean {
    return performance.now() >= this.#at;
  }

  /** Milliseconds, 1 at least, as a timer takes them; undefined: no limit. */
  get left(): number | undefined {
    if (this.#at === Number.POSITIVE_INFINITY) return undefined;
    return Math.max(1, Math.ceil(this.#at - performance.now()));
  }

  /** What `work` gives, or `refusal()` when the moment has come; `discard` gets what it gives later. */
  async wait<T>(work: Promise<T>, refusal: () => Error, discard: (late: T) => void): Promise<T> {
    const { left } = this;
    if (left === undefined) return await work;
    return await new Promise<T>((resolve, reject) => {
      const expire = (): void => {
        work.then(discard, () => undefined);
        reject(refusal());
      };
      const timer = setTimeout(expire, left);
      work.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }

  /** The end of the first of `parts` equal parts of what is left. */
  share(parts: number): ConnectDeadline {
    const { left } = this;
    return ConnectDeadline.in(left === undefined ? undefined : left / parts);
  }
}
