import { once } from 'node:events';
import { connect, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net';
import { Latch } from '../process/barrier.js';
import { ProxyChannel } from './proxy-channel.js';
import { RoundTripCounter } from './round-trip-counter.js';
import { WireReader, type WireMessage } from './wire-reader.js';

export type { WireMessage } from './wire-reader.js';

/** What becomes of a message: its connection may be reset in front of it, inside it, or when it has passed. */
export type Fate = 'passes' | 'cut before' | 'cut inside' | 'cut behind';

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  readonly toServer: ProxyChannel;
  readonly toClient: ProxyChannel;
}

interface Hold {
  matches(message: WireMessage): boolean;
  readonly held: Latch;
}

/**
 * Starts a proxy on 127.0.0.1 in front of the server of `targetUrl`, which may name a Unix socket by `?host=/folder`.
 * It reads the PostgreSQL protocol, counts, and can cut, stall, delay or hold back what passes.
 */
export async function startFaultyProxy(targetUrl: string): Promise<FaultyProxy> {
  // WHATWG URLs allow no user without a host, as in postgresql://user@/database?host=/folder.
  const url = new URL(targetUrl.replace('@/', '@localhost/').replace(':///', '://localhost/'));
  const host = url.searchParams.get('host') ?? decodeURIComponent(url.hostname);
  const port = Number(url.searchParams.get('port') ?? (url.port === '' ? 5432 : url.port));
  const target = host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port };
  const server = createServer({ noDelay: true, pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  url.searchParams.delete('host');
  url.searchParams.delete('port');
  url.hostname = '127.0.0.1';
  url.port = typeof address === 'object' && address !== null ? String(address.port) : '';
  return new FaultyProxy(server, url.href, target);
}

export class FaultyProxy implements AsyncDisposable {
  /** Same database, user and password, through the proxy. */
  readonly url: string;
  readonly #listener: Server;
  readonly #links = new Set<Link>();
  readonly #listeners = new Set<(message: WireMessage) => void>();
  readonly #holds = new Set<Hold>();
  #fateOf: (message: WireMessage) => Fate = () => 'passes';
  #state: 'flowing' | 'stalled' = 'flowing';
  #delay = 0;
  #opened = 0;
  #roundTrips = 0;
  #writes = 0;
  #messages: WireMessage[] = [];

  constructor(listener: Server, url: string, target: NetConnectOpts) {
    this.url = url;
    this.#listener = listener;
    listener.on('connection', (client) => this.#open(client, connect(target)));
  }

  /** How often clients had to wait for the server; see {@link RoundTripCounter}. Authentication counts too. */
  get roundTrips(): number {
    return this.#roundTrips;
  }

  /** Chunks that came from clients: one for each of their writes up to 64 KiB, as far as the kernel did not join them. */
  get writes(): number {
    return this.#writes;
  }

  /** Everything that was said since the last `reset()`, in order of arrival at the proxy. */
  get messages(): readonly WireMessage[] {
    return this.#messages;
  }

  /** Connections that are open now. */
  get connections(): number {
    return [...this.#links].filter(({ client }) => !client.destroyed).length;
  }

  get cancelRequests(): number {
    return this.#messages.filter(({ type }) => type === 'CancelRequest').length;
  }

  /** The SQL that was run, in order: the text of each Query and Execute. */
  get statements(): string[] {
    return this.#messages
      .filter(({ type }) => type === 'Query' || type === 'Execute')
      .map(({ text }) => text ?? '');
  }

  reset(): void {
    this.#roundTrips = 0;
    this.#writes = 0;
    this.#messages = [];
  }

  /** Resets every connection; what was under way is lost. New ones are accepted. */
  cut(): void {
    for (const link of this.#links) this.#destroy(link);
  }

  /** From now on each message is passed on or cut as `fateOf` says; the other connections go on. */
  cutWhere(fateOf: (message: WireMessage) => Fate): void {
    this.#fateOf = fateOf;
  }

  /** Passes on nothing more, in both directions and on new connections too, as a dead network does. */
  stall(): void {
    this.#state = 'stalled';
    for (const channel of this.#channels()) channel.stall();
  }

  /** Ends `stall()` and every hold that has matched; what was kept back is passed on. */
  resume(): void {
    this.#state = 'flowing';
    for (const channel of this.#channels()) channel.resume();
  }

  /** From now on every chunk is passed on after `milliseconds`, in each direction. */
  delay(milliseconds: number): void {
    this.#delay = milliseconds;
  }

  /** Calls `listener` with each message before it is passed on; returns what ends it. */
  onMessage(listener: (message: WireMessage) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Resolves when a message that matches was seen, which is kept back, with all that follows it in that direction of
   * that connection, until `resume()`. Matches once. Messages of the server are asked about too: look at `from`.
   */
  holdWhen(predicate: (message: WireMessage) => boolean): Promise<void> {
    const hold = { matches: predicate, held: new Latch() };
    this.#holds.add(hold);
    return hold.held.opened;
  }

  async close(): Promise<void> {
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    this.cut();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #open(client: Socket, server: Socket): void {
    const link = { client, server, toServer: new ProxyChannel(server), toClient: new ProxyChannel(client) };
    this.#links.add(link);
    if (this.#state === 'stalled') for (const channel of [link.toServer, link.toClient]) channel.stall();
    this.#opened += 1;
    const reader = new WireReader(this.#opened);
    const counter = new RoundTripCounter(() => {
      this.#roundTrips += 1;
    });
    server.setNoDelay(true);
    client.on('data', (chunk: Buffer) => {
      this.#writes += 1;
      this.#pass('client', chunk, link, reader, counter);
    });
    server.on('data', (chunk: Buffer) => this.#pass('server', chunk, link, reader, counter));
    client.on('end', () => link.toServer.end(this.#delay));
    server.on('end', () => link.toClient.end(this.#delay));
    for (const socket of [client, server]) socket.on('error', () => this.#destroy(link));
    for (const socket of [client, server]) socket.on('close', () => this.#forget(link));
    client.resume();
  }

  #pass(
    from: WireMessage['from'],
    chunk: Buffer,
    link: Link,
    reader: WireReader,
    counter: RoundTripCounter,
  ): void {
    if (!this.#links.has(link)) return;
    const channel = from === 'client' ? link.toServer : link.toClient;
    let ready: Buffer[] = [];
    for (const { message, bytes } of reader.read(from, chunk)) {
      this.#messages.push(message);
      counter.see(message);
      for (const listener of this.#listeners) listener(message);
      const hold = [...this.#holds].find((candidate) => candidate.matches(message));
      if (hold !== undefined) {
        channel.push(Buffer.concat(ready), this.#delay);
        ready = [];
        channel.hold();
        this.#holds.delete(hold);
        hold.held.open();
      }
      const fate = this.#fateOf(message);
      ready.push(partOf(bytes, fate));
      if (fate !== 'passes') {
        this.#cutLink(link, from, Buffer.concat(ready));
        return;
      }
    }
    channel.push(Buffer.concat(ready), this.#delay);
  }

  /** The last bytes arrive, and behind them the end; the one that sent them hears of a reset. */
  #cutLink(link: Link, from: WireMessage['from'], last: Buffer): void {
    this.#links.delete(link);
    link.toServer.discard();
    link.toClient.discard();
    const [sender, receiver] = from === 'client' ? [link.client, link.server] : [link.server, link.client];
    receiver.end(last);
    sender.resetAndDestroy();
  }

  #destroy(link: Link): void {
    this.#links.delete(link);
    link.toServer.discard();
    link.toClient.discard();
    link.client.resetAndDestroy();
    link.server.destroy();
  }

  #forget(link: Link): void {
    if (link.client.destroyed && link.server.destroyed) this.#links.delete(link);
  }

  #channels(): ProxyChannel[] {
    return [...this.#links].flatMap(({ toServer, toClient }) => [toServer, toClient]);
  }
}

function partOf(bytes: Buffer, fate: Fate): Buffer {
  const length = { passes: bytes.length, 'cut before': 0, 'cut inside': 3, 'cut behind': bytes.length }[fate];
  return bytes.subarray(0, length);
}
