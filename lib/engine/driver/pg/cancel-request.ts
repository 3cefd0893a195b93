import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { Client } from 'pg';
import { OperationalError } from '../../errors.js';

const CANCEL_REQUEST_CODE = 80_877_102;

/**
 * Asks the server, over a connection of its own, to cancel what `client` runs. Resolves when the server has closed that
 * connection, which it does after the signal was sent.
 *
 * @throws OperationalError when it can't be reached, or has not taken the request after `deadline` ms.
 */
export function sendCancelRequest(client: Client, deadline: number): Promise<void> {
  const { processID, secretKey } = client as Client & { processID: number; secretKey: number };
  const message = Buffer.alloc(16);
  message.writeInt32BE(16, 0);
  message.writeInt32BE(CANCEL_REQUEST_CODE, 4);
  message.writeInt32BE(processID, 8);
  message.writeInt32BE(secretKey, 12);
  return new Promise((resolve, reject) => {
    const socket = openBeside(client);
    const timer = setTimeout(() => {
      socket.destroy(new OperationalError(`the cancel request was not taken within ${deadline} ms`));
    }, deadline);
    // The server closes, not we: a proxy would answer our goodbye before the server has sent the signal.
    socket.once('connect', () => socket.write(message));
    socket.once('error', (cause) => {
      if (cause instanceof OperationalError) return reject(cause);
      reject(new OperationalError(`the cancel request could not be delivered: ${cause.message}`, { cause }));
    });
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.resume();
  });
}

// To the address that the session has: its name may stand for several servers by now.
function openBeside(client: Client): Socket {
  if (client.host.startsWith('/')) return connect(`${client.host}/.s.PGSQL.${client.port}`);
  const { remoteAddress } = client.connection.stream as Partial<Socket>;
  return connect(client.port, remoteAddress ?? client.host);
}
