import 'reflect-metadata';

/** A method as decorators see it. */
export type Method = (this: object, ...args: unknown[]) => unknown;

/** Gives `wrapper` the name, the length and the metadata that decorators below have left on `method`. */
export function copyMethodMetadata(wrapper: Method, method: Method): Method {
  for (const key of Reflect.getMetadataKeys(method) as unknown[]) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, method), wrapper);
  }
  const own = Object.getOwnPropertyDescriptors(method);
  Reflect.deleteProperty(own, 'prototype');
  Object.defineProperties(wrapper, own);
  return wrapper;
}
