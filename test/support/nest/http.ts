import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';

/** A request that the test can hang up in the middle of. */
export interface OpenRequest {
  /** Resolves when the head of the response has come; rejects when the request ended before. */
  readonly response: Promise<IncomingMessage>;
  hangUp(): void;
}

export function openRequest(url: string): OpenRequest {
  const request = get(url);
  const response = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve);
    request.on('error', reject);
  });
  // Hanging up rejects it, and not every test waits for the response.
  response.catch(() => undefined);
  return { response, hangUp: () => request.destroy() };
}
