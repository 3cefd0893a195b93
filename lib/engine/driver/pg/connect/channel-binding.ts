import { TLSSocket } from 'node:tls';
import type { Client } from 'pg';
import { OperationalError } from '../../../errors/errors.js';

const BOUND = 'SCRAM-SHA-256-PLUS';

/**
 * Ends a connection attempt whose server would sign in `client` without channel binding, before a password is
 * sent: libpq's `channel_binding=require`, where pg alone takes what the server offers. To be called before
 * `connect()`.
 */
export function requireChannelBinding(client: Client): void {
  const { connection } = client;
  let isBound = false;
  const refuse = (): void => {
    const error = new OperationalError(
      "the server signs in without channel binding, and the URL's channel_binding is require. " +
        'Use TLS and a SCRAM password, or channel_binding=prefer.',
    );
    // At once: the message that says that the session is ready may be behind this one.
    connection.emit('error', error);
    connection.stream.destroy();
  };
  connection.on('authenticationSASL', ({ mechanisms }: { readonly mechanisms: readonly string[] }) => {
    isBound = mechanisms.includes(BOUND) && connection.stream instanceof TLSSocket;
    if (!isBound) refuse();
  });
  connection.on('authenticationCleartextPassword', refuse);
  connection.on('authenticationMD5Password', refuse);
  connection.on('authenticationOk', () => {
    if (!isBound) refuse();
  });
}
