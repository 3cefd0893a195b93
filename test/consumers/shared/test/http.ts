import type { INestApplication } from '@nestjs/common';

/** Asks the application over a real port. */
export async function request(
  app: INestApplication,
  method: 'GET' | 'POST',
  body?: object,
): Promise<{ status: number; body: unknown }> {
  const url = `${await app.getUrl()}/orders`.replace('[::1]', '127.0.0.1');
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(url, { method, headers, ...(body && { body: JSON.stringify(body) }) });
  return { status: response.status, body: await response.json() };
}
