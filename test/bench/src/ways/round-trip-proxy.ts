import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import type { Way } from '../workload.js';

/** A proxy in front of PostgreSQL that counts how often a client spoke after it had listened: its round trips. */
export class RoundTripProxy implements Way {
  readonly url: string;
  readonly #server: Server;
  #count = 0;

  private constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
  }

  static async start(databaseUrl: string): Promise<RoundTripProxy> {
    const url = new URL(databaseUrl);
    const target = { host: url.hostname, port: Number(url.port === '' ? 5_432 : url.port), noDelay: true };
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url.hostname = '127.0.0.1';
    url.port = String((server.address() as AddressInfo).port);
    const proxy = new RoundTripProxy(server, url.href);
    server.on('connection', (client) => {
      const upstream = connect(target);
      let last: 'client' | 'server' = 'server';
      client.on('data', () => {
        if (last === 'server') proxy.#count += 1;
        last = 'client';
      });
      upstream.on('data', () => {
        last = 'server';
      });
      client.pipe(upstream).pipe(client);
      for (const socket of [client, upstream]) socket.on('error', () => socket.destroy());
    });
    return proxy;
  }

  /** Round trips of all connections while `work` goes on. */
  async count(work: () => Promise<unknown>): Promise<number> {
    const before = this.#count;
    await work();
    return this.#count - before;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }
}
