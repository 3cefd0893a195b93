import { createServer } from 'node:net';
import { OperationalError } from '../engine/errors/server-errors.js';

/** A port of 127.0.0.1 that was free a moment ago. Another process may take it before it is used. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (typeof address === 'object' && address !== null) resolve(address.port);
        else reject(new OperationalError('the system gave no free port on 127.0.0.1. Give one with `port`.'));
      });
    });
  });
}
