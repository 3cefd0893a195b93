import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** A chunk on its way. */
interface Parcel {
  readonly chunk: Buffer;
  /** On the clock of `performance.now()`. */
  readonly due: number;
}

/** One direction of one connection: each chunk arrives its own delay after it was sent, however many are on the way. */
class DelayedPipe {
  readonly #target: Socket;
  readonly #delay: number;
  readonly #parcels: Parcel[] = [];
  #state: 'resting' | 'waiting' = 'resting';

  constructor(source: Socket, target: Socket, delay: number) {
    this.#target = target;
    this.#delay = delay;
    source.on('data', (chunk: Buffer) => this.#send(chunk));
    source.on('error', () => target.destroy());
    source.on('close', () => setTimeout(() => target.destroy(), delay * 2));
  }

  #send(chunk: Buffer): void {
    this.#parcels.push({ chunk, due: performance.now() + this.#delay });
    if (this.#state === 'waiting') return;
    this.#state = 'waiting';
    // A timer waits a millisecond at least.
    if (this.#delay < 1) setImmediate(() => this.#deliver());
    else setTimeout(() => this.#deliver(), this.#delay);
  }

  #deliver(): void {
    const now = performance.now();
    while ((this.#parcels[0]?.due ?? Infinity) <= now) {
      const parcel = this.#parcels.shift();
      if (parcel !== undefined && this.#target.writable) this.#target.write(parcel.chunk);
    }
    if (this.#parcels.length === 0) this.#state = 'resting';
    // A timer counts whole milliseconds and would be late by up to one: the rest is waited for in turns of the loop.
    else setImmediate(() => this.#deliver());
  }
}

/** A proxy in front of PostgreSQL that makes the way to it longer, in each direction. */
export class DelayProxy {
  /** Same database, user and password, through the proxy. */
  readonly url: string;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, sockets: Set<Socket>, url: string) {
    this.#server = server;
    this.#sockets = sockets;
    this.url = url;
  }

  /** `delay` is in milliseconds. */
  static async start(targetUrl: string, delay: number): Promise<DelayProxy> {
    const url = new URL(targetUrl);
    const target = { host: url.hostname, port: Number(url.port === '' ? 5_432 : url.port), noDelay: true };
    const sockets = new Set<Socket>();
    const server = createServer({ noDelay: true }, (client) => {
      const upstream = connect(target);
      for (const socket of [client, upstream]) {
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket));
      }
      new DelayedPipe(client, upstream, delay);
      new DelayedPipe(upstream, client, delay);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url.hostname = '127.0.0.1';
    url.port = String((server.address() as AddressInfo).port);
    return new DelayProxy(server, sockets, url.href);
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
