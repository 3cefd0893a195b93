import type { ServerResponse } from 'node:http';
import type { HttpServer } from '@nestjs/common';

/** What Express's response and Fastify's reply have in common. */
interface PlainResponse {
  readonly raw?: ServerResponse;
  status(code: number): PlainResponse;
  header(name: string, value: string): unknown;
  send(body: unknown): unknown;
}

const rawOf = (response: PlainResponse | ServerResponse): ServerResponse =>
  'writeHead' in response || response.raw === undefined ? (response as ServerResponse) : response.raw;

/** What an exception filter needs of an HTTP adapter, for a filter that was not made by the container. */
export const PLAIN_RESPONSE = {
  isHeadersSent: (response: PlainResponse) => rawOf(response).headersSent,
  reply: (response: PlainResponse, body: unknown, status: number) => response.status(status).send(body),
  setHeader: (response: PlainResponse, name: string, value: string) => response.header(name, value),
  end: (response: PlainResponse) => rawOf(response).end(),
} as unknown as HttpServer;
