import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { TLSSocket } from 'node:tls';
import { serverMessages } from './server-messages.js';

const SSL_REQUEST = 80_877_103;
const CANCEL_REQUEST = 80_877_102;

export interface Script {
  /** Answers the startup message. Default: the login is over. */
  readonly onStart?: (socket: Socket) => void;
  /** Answers what comes behind it; `count` is 0 at first. */
  readonly onData?: (socket: Socket, bytes: Buffer, count: number) => void;
  /** With it the server speaks TLS to those who ask for it. */
  readonly certificate?: { readonly cert: string; readonly key: string };
}

export interface ScriptedServer extends AsyncDisposable {
  readonly url: string;
  /** All that clients have said, outside of TLS. */
  readonly heard: readonly Buffer[];
}

/** A server that says what it is told to: one that is broken, or is somebody else. */
export async function startScriptedServer(script: Script): Promise<ScriptedServer> {
  const heard: Buffer[] = [];
  const sockets = new Set<Socket>();
  const talk = (socket: Socket): void => {
    let count = -1;
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      heard.push(bytes);
      const code = count === -1 && bytes.length >= 8 ? bytes.readInt32BE(4) : 0;
      if (code === SSL_REQUEST) return void socket.write('N');
      if (code === CANCEL_REQUEST) return void socket.end();
      count += 1;
      if (count > 0) return script.onData?.(socket, bytes, count - 1);
      return script.onStart === undefined
        ? void socket.write(serverMessages.welcome())
        : script.onStart(socket);
    });
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    if (script.certificate === undefined) return talk(socket);
    socket.once('data', () => {
      socket.write('S');
      talk(new TLSSocket(socket, { isServer: true, ...script.certificate }));
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  return {
    url: `postgresql://user:password@${script.certificate === undefined ? '127.0.0.1' : 'localhost'}:${port}/d`,
    heard,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}
