import { connect } from 'node:net';
import type { Client } from 'pg';
import { OperationalError } from '../../errors.js';

const CANCEL_REQUEST_CODE = 80_877_102;

/**
 * Asks the server, over a connection of its own, to cancel what `client` runs. Resolves when the server has closed that
 * connection, which it does after the signal was sent. Rejects when that takes longer than `deadline` ms.
 */
export function sendCancelRequest(client: Client, deadline: number): Promise<void> {
  const { processID, secretKey } = client as Client & { processID: number; secretKey: number };
  const message = Buffer.alloc(16);
  message.writeInt32BE(16, 0);
  message.writeInt32BE(CANCEL_REQUEST_CODE, 4);
  message.writeInt32BE(processID, 8);
  message.writeInt32BE(secretKey, 12);
  return new Promise((resolve, reject) => {
    const socket = client.host.startsWith('/')
      ? connect(`${client.host}/.s.PGSQL.${client.port}`)
      : connect(client.port, client.host);
    const timer = setTimeout(
      () => socket.destroy(new OperationalError(`the cancel request was not taken within ${deadline} ms`)),
      deadline,
    );
    socket.once('connect', () => socket.end(message));
    socket.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.resume();
  });
}
