import type { Socket } from 'node:net';

/** What waits to be passed on; a hold stops everything behind it. */
type Item =
  | { readonly kind: 'bytes'; readonly bytes: Buffer; readonly due: number }
  | { readonly kind: 'end'; readonly due: number }
  | { readonly kind: 'hold' };

/** One direction of a connection through the proxy: a queue in front of a socket. */
export class ProxyChannel {
  readonly #target: Socket;
  #queue: Item[] = [];
  #state: 'flowing' | 'stalled' = 'flowing';
  #timer: NodeJS.Timeout | undefined;

  constructor(target: Socket) {
    this.#target = target;
  }

  push(bytes: Buffer, delay: number): void {
    if (bytes.length > 0) this.#add({ kind: 'bytes', bytes, due: performance.now() + delay });
  }

  end(delay: number): void {
    this.#add({ kind: 'end', due: performance.now() + delay });
  }

  hold(): void {
    this.#add({ kind: 'hold' });
  }

  stall(): void {
    this.#state = 'stalled';
  }

  /** Ends a stall and every hold. */
  resume(): void {
    this.#state = 'flowing';
    this.#queue = this.#queue.filter((item) => item.kind !== 'hold');
    this.#pump();
  }

  discard(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
  }

  #add(item: Item): void {
    this.#queue.push(item);
    this.#pump();
  }

  #pump(): void {
    clearTimeout(this.#timer);
    while (this.#state === 'flowing') {
      const item = this.#queue[0];
      if (item === undefined || item.kind === 'hold' || this.#target.destroyed) return;
      const wait = item.due - performance.now();
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#pump(), Math.ceil(wait));
        return;
      }
      this.#queue.shift();
      if (item.kind === 'bytes') this.#target.write(item.bytes);
      else this.#target.end();
    }
  }
}
