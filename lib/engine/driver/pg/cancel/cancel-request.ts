import type { Socket } from 'node:net';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import type { Client } from 'pg';
import { OperationalError } from '../../../errors/server-errors.js';
import { encryption, network } from '../../../errors/node-modules.js';
import { reasonOf } from '../../../errors/thrown.js';

const CANCEL_REQUEST_CODE = 80_877_102;
const SSL_REQUEST_CODE = 80_877_103;
const ACCEPTED = 'S'.charCodeAt(0);

/**
 * Asks the server, over a connection of its own, to cancel what `client` runs. That connection is encrypted
 * where the client's is, with the same certificates. Resolves when the server has closed it, which it does
 * after the signal was sent.
 *
 * @throws OperationalError when it can't be reached, or has not taken the request after `deadline` ms.
 */
export async function sendCancelRequest(client: Client, deadline: number): Promise<void> {
  const socket = openBeside(client);
  const timer = setTimeout(() => {
    socket.destroy(new OperationalError(`the cancel request was not taken within ${deadline} ms`));
  }, deadline);
  try {
    const channel = await secured(socket, client);
    // The server closes, not we: a proxy would answer our goodbye before the server has sent the signal.
    channel.write(cancelRequest(client));
    channel.resume();
    await closing(channel);
    if (socket.errored !== null) throw socket.errored;
  } catch (cause) {
    socket.destroy();
    if (cause instanceof OperationalError) throw cause;
    const reason = reasonOf(cause);
    throw new OperationalError(`the cancel request could not be delivered: ${reason}`, { cause });
  } finally {
    clearTimeout(timer);
  }
}

// To the address that the session has: its name may stand for several servers by now.
function openBeside(client: Client): Socket {
  const { connect } = network();
  if (client.host.startsWith('/')) return connect(`${client.host}/.s.PGSQL.${client.port}`);
  const stream = client.connection.stream as Partial<Socket>;
  return connect(client.port, stream.remoteAddress ?? client.host);
}

/** What the request is written to: `socket` itself, or TLS over it. */
async function secured(socket: Socket, client: Client): Promise<Socket> {
  const { ssl, sslNegotiation } = client as Client & { sslNegotiation?: string };
  const { encrypted } = client.connection.stream as Partial<TLSSocket>;
  await happening(socket, 'connect');
  if (encrypted !== true) return socket;
  if (sslNegotiation !== 'direct') await negotiate(socket);
  const channel = encryption().connect({
    ...tlsOptions(ssl),
    socket,
    host: client.host,
    ...(network().isIP(client.host) === 0 && { servername: client.host }),
    ...(sslNegotiation === 'direct' && { ALPNProtocols: ['postgresql'] }),
  });
  await happening(channel, 'secureConnect');
  return channel;
}

function tlsOptions(ssl: unknown): ConnectionOptions {
  if (typeof ssl !== 'object' || ssl === null) return {};
  // pg makes the key a property that spreading does not see.
  const { key } = ssl as ConnectionOptions;
  return { ...ssl, ...(key !== undefined && { key }) };
}

async function negotiate(socket: Socket): Promise<void> {
  socket.write(message(SSL_REQUEST_CODE));
  const [answer] = (await happening(socket, 'data')) as [Buffer];
  socket.pause();
  if (answer[0] !== ACCEPTED) throw new OperationalError('the server encrypts no cancel requests');
}

function cancelRequest(client: Client): Buffer {
  const { processID, secretKey } = client as Client & { processID: number; secretKey: number };
  return message(CANCEL_REQUEST_CODE, processID, secretKey);
}

function message(...words: readonly number[]): Buffer {
  const buffer = Buffer.alloc(4 + 4 * words.length);
  buffer.writeInt32BE(buffer.length, 0);
  for (const [index, word] of words.entries()) buffer.writeInt32BE(word, 4 + 4 * index);
  return buffer;
}

/** The first event of that name; rejects with the socket's error, or when it closes before. */
function happening(socket: Socket, event: string): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    socket.once(event, (...values: unknown[]) => resolve(values));
    socket.once('error', reject);
    socket.once('close', () =>
      reject(new OperationalError('the server closed the connection for the cancel request')),
    );
  });
}

function closing(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('close', () => resolve());
  });
}
