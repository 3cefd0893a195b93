import 'reflect-metadata';
import { Sse } from '@nestjs/common';
import { Plugin } from '@nestjs/apollo';
import { Mutation, Query, Subscription } from '@nestjs/graphql';
import { Cron, Interval, Timeout } from '@nestjs/schedule';
import { expect, it } from 'vitest';
import { NEST_METADATA } from '../../../lib/nest/shared/nest-metadata.js';

/** What a decorator left on a method under `key`. */
function markOf(decorator: MethodDecorator, key: string): unknown {
  class Decorated {
    method(): void {}
  }
  const descriptor = Object.getOwnPropertyDescriptor(Decorated.prototype, 'method');
  if (descriptor !== undefined) decorator(Decorated.prototype, 'method', descriptor);
  return Reflect.getMetadata(key, Decorated.prototype.method);
}

it('finds @Sse() under the key of an event stream', () => {
  expect(markOf(Sse('events'), NEST_METADATA.eventStream)).toBe(true);
});

it.each([
  ['@Cron', Cron('* * * * *')],
  ['@Interval', Interval(1_000)],
  ['@Timeout', Timeout(1_000)],
])('finds %s() under the key of a scheduled job', (_name, decorator) => {
  expect(markOf(decorator, NEST_METADATA.scheduledJob)).toBeDefined();
});

it.each([
  ['Query', Query(() => String)],
  ['Mutation', Mutation(() => String)],
  ['Subscription', Subscription(() => String)],
])('finds @%s() under the key of a GraphQL operation, by its name', (name, decorator) => {
  expect(markOf(decorator, NEST_METADATA.graphqlOperation)).toBe(name);
});

it('finds @Plugin() under the key of an Apollo plugin', () => {
  @Plugin()
  class Decorated {}
  expect(Reflect.getMetadata(NEST_METADATA.graphqlPlugin, Decorated)).toBe(true);
});
