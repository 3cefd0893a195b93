import type { Method } from '../shared/method-metadata.js';

const BODY = Symbol.for('nest-async-engine:body');

/** What a wrapper calls: a decorator that comes later may put itself around the body alone. */
export interface MethodBody {
  call: Method;
}

/** Marks a wrapper that calls its method later than it is called itself, as listeners do. */
export function setDeferredBody(wrapper: Method, body: MethodBody): void {
  Object.defineProperty(wrapper, BODY, { value: body });
}

/** The body of a wrapper that calls it later; undefined for any other method. */
export function deferredBodyOf(method: Method): MethodBody | undefined {
  return (method as { readonly [BODY]?: MethodBody })[BODY];
}
