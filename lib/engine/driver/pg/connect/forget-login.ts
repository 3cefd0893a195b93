import type { Client } from 'pg';

/** What pg listens to until the server has let a client in: none of it comes again. */
const LOGIN_EVENTS = [
  'connect',
  'sslconnect',
  'authenticationOk',
  'authenticationCleartextPassword',
  'authenticationMD5Password',
  'authenticationSASL',
  'authenticationSASLContinue',
  'authenticationSASLFinal',
  'backendKeyData',
];

/**
 * Takes off a connected client what only its login needed. The password is seen by listeners, too, which get
 * the client: `%o` shows what is not enumerable.
 */
export function forgetLogin(client: Client): void {
  const { connectionParameters } = client as Client & { readonly connectionParameters?: object };
  Object.assign(client, { password: null, connectionTimeoutHandle: null });
  if (connectionParameters !== undefined) Object.assign(connectionParameters, { password: null });
  for (const event of LOGIN_EVENTS) client.connection.removeAllListeners(event);
}
