import 'reflect-metadata';
import type { TransactionalMethod } from './transactional-call.js';

/**
 * Gives the wrapper of a method its name, its length and the metadata that decorators below have left on it.
 */
export function dressUp(wrapper: TransactionalMethod, method: TransactionalMethod): TransactionalMethod {
  for (const key of Reflect.getMetadataKeys(method) as unknown[]) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, method), wrapper);
  }
  const own = Object.getOwnPropertyDescriptors(method);
  Reflect.deleteProperty(own, 'prototype');
  Object.defineProperties(wrapper, own);
  return wrapper;
}
