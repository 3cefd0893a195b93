import 'reflect-metadata';

export type TransactionalMethod = (this: object, ...args: unknown[]) => unknown;

const BODY = Symbol.for('nest-async-engine:body');

/** What a wrapper calls: a decorator that comes later may put itself around the body alone. */
export interface MethodBody {
  call: TransactionalMethod;
}

/** Gives `wrapper` the name, the length and the metadata that decorators below have left on `method`. */
export function copyMethodMetadata(
  wrapper: TransactionalMethod,
  method: TransactionalMethod,
): TransactionalMethod {
  for (const key of Reflect.getMetadataKeys(method) as unknown[]) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, method), wrapper);
  }
  const own = Object.getOwnPropertyDescriptors(method);
  Reflect.deleteProperty(own, 'prototype');
  Object.defineProperties(wrapper, own);
  return wrapper;
}

/** Marks a wrapper that calls its method later than it is called itself, as listeners do. */
export function setDeferredBody(wrapper: TransactionalMethod, body: MethodBody): void {
  Object.defineProperty(wrapper, BODY, { value: body });
}

/** The body of a wrapper that calls it later; undefined for any other method. */
export function deferredBodyOf(method: TransactionalMethod): MethodBody | undefined {
  return (method as { readonly [BODY]?: MethodBody })[BODY];
}
