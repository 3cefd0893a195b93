import type { Type } from '@nestjs/common';

/** The methods of a class and of those that it extends, each with its name. */
export function methodsOf({ prototype }: Pick<Type, 'prototype'>): [string, object][] {
  const methods: [string, object][] = [];
  for (let type: unknown = prototype; isPrototype(type); type = Object.getPrototypeOf(type)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(type))) {
      if (name !== 'constructor' && typeof value === 'function') methods.push([name, value as object]);
    }
  }
  return methods;
}

function isPrototype(value: unknown): value is object {
  return typeof value === 'object' && value !== null && value !== Object.prototype;
}
