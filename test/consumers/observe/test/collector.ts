import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';

/** A node of a trace as the agent sends it: class and method, or driver and operation. */
export interface Span {
  readonly c?: string;
  readonly m?: string;
  /** What it has failed with. */
  readonly e?: unknown;
  /** Its tags. */
  readonly t?: Readonly<Record<string, unknown>>;
  /** What ran in it. */
  readonly ch?: readonly Span[];
}

interface Batch {
  readonly snapshots?: readonly { readonly a: { readonly ou: string }; readonly t?: readonly Span[] }[];
}

/** One request as the agent has seen it. */
interface SeenRequest {
  readonly path: string;
  readonly spans: readonly Span[];
}

/** Where the agent sends what it has seen. */
export class Collector {
  readonly requests: SeenRequest[] = [];
  #arrived: () => void = () => undefined;
  readonly #server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => void parts.push(part));
    request.on('end', () => {
      const { snapshots = [] } = JSON.parse(String(gunzipSync(Buffer.concat(parts)))) as Batch;
      for (const { a, t: spans = [] } of snapshots) this.requests.push({ path: a.ou, spans });
      response.writeHead(202, { 'content-type': 'application/json' }).end('{}');
      this.#arrived();
    });
  });

  async start(): Promise<string> {
    await new Promise<void>((resolve) => void this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resolves when what has arrived is enough. */
  async until(isEnough: () => boolean): Promise<void> {
    while (!isEnough()) await new Promise<void>((resolve) => (this.#arrived = resolve));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => void this.#server.close(resolve));
  }
}
