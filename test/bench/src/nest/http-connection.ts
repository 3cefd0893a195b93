import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { BenchmarkError } from '../benchmark-error.js';

/** What is waited for: the body of the next response. */
interface Pending {
  resolve(body: string): void;
  reject(error: Error): void;
}

const HEAD_END = '\r\n\r\n';

/**
 * One keep-alive connection that asks for one path at a time. It reads what Fastify writes and no more, because the
 * load shares the machine with what is measured.
 */
export class HttpConnection {
  readonly #socket: Socket;
  #received = '';
  #pending: Pending | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    // The responses here are ASCII: a character is a byte.
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => this.#read(chunk));
    socket.on('error', (error) => this.#pending?.reject(error));
    socket.on('close', () => this.#pending?.reject(closedByServer()));
  }

  static async open(port: number): Promise<HttpConnection> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new HttpConnection(socket);
  }

  get(path: string): Promise<string> {
    return new Promise<string>((resolve, reject) => {
      if (this.#socket.destroyed) {
        reject(closedByServer());
        return;
      }
      this.#pending = { resolve, reject };
      this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n`);
    });
  }

  close(): void {
    this.#pending = undefined;
    this.#socket.destroy();
  }

  #read(chunk: string): void {
    this.#received += chunk;
    const headEnd = this.#received.indexOf(HEAD_END);
    if (headEnd === -1) return;
    const head = this.#received.slice(0, headEnd);
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1]);
    const start = headEnd + HEAD_END.length;
    if (this.#received.length < start + length) return;
    const body = this.#received.slice(start, start + length);
    this.#received = '';
    const pending = this.#pending;
    this.#pending = undefined;
    if (head.startsWith('HTTP/1.1 200 ')) pending?.resolve(body);
    else pending?.reject(new BenchmarkError(`the server answered ${head.split('\r\n', 1)[0]}: ${body}`));
  }
}

function closedByServer(): BenchmarkError {
  return new BenchmarkError('the server closed a connection.');
}
