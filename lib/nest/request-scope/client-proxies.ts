import { AsyncResource } from 'node:async_hooks';
import { types } from 'node:util';
import type { Wrapper } from './connection-consumers.js';

/** What a ClientProxy of @nestjs/microservices has, which need not be installed. */
interface Client {
  connect(...options: unknown[]): unknown;
}

/**
 * Lets the clients of the application open their sockets outside of every scope. A socket keeps the async
 * context in which it was opened: with that of the first request, what other requests do with an answer would
 * be a part of the first one's unit.
 */
export function connectOutsideScopes(wrappers: readonly Wrapper[]): void {
  for (const candidate of wrappers.flatMap((wrapper) => candidatesOf(wrapper))) {
    if (isClient(candidate)) {
      candidate.connect = AsyncResource.bind(candidate.connect.bind(candidate), 'ClientProxy');
    }
  }
}

/** What Nest has made, and what stands on it: a `@Client()`, or a client that its class makes. */
function candidatesOf({ instance, isNotMetatype }: Wrapper): unknown[] {
  if (isNotMetatype || typeof instance !== 'object' || instance === null || types.isProxy(instance)) {
    return [instance];
  }
  const own = Object.values(Object.getOwnPropertyDescriptors(instance));
  return [instance, ...own.map(({ value }) => value as unknown)];
}

function isClient(instance: unknown): instance is Client {
  // A Proxy may throw where it is looked at, as the strict ones of nestjs-cls do.
  if (typeof instance !== 'object' || instance === null || types.isProxy(instance)) return false;
  return ['connect', 'send', 'emit', 'close', 'unwrap'].every(
    (method) => typeof Reflect.get(instance, method) === 'function',
  );
}
