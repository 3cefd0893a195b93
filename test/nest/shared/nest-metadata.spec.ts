import 'reflect-metadata';
import {
  Get,
  Inject,
  Injectable,
  Param,
  ParseIntPipe,
  Sse,
  UseFilters,
  UseInterceptors,
  UsePipes,
} from '@nestjs/common';
import type { ExceptionFilter } from '@nestjs/common';
import { ApolloDriver, Plugin } from '@nestjs/apollo';
import { GraphQLModule, Mutation, Query, Subscription } from '@nestjs/graphql';
import { EventPattern, MessagePattern } from '@nestjs/microservices';
import { SubscribeMessage } from '@nestjs/websockets';
import { Cron, Interval, Timeout } from '@nestjs/schedule';
import { expect, it } from 'vitest';
import { GRAPHQL_MODULE_OPTIONS, NEST_METADATA } from '../../../lib/nest/shared/nest-metadata.js';

/** What a decorator left on a method under `key`. */
function markOf(decorator: MethodDecorator, key: string): unknown {
  class Decorated {
    method(): void {}
  }
  const descriptor = Object.getOwnPropertyDescriptor(Decorated.prototype, 'method');
  if (descriptor !== undefined) decorator(Decorated.prototype, 'method', descriptor);
  return Reflect.getMetadata(key, descriptor?.value as object);
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

it('finds what a class injects under the keys of its constructor and properties', () => {
  @Injectable()
  class Decorated {
    @Inject('property') readonly property: unknown;

    constructor(
      readonly first: Date,
      @Inject('second') readonly second: unknown,
    ) {}
  }
  expect(Reflect.getMetadata(NEST_METADATA.parameterTypes, Decorated)).toEqual([Date, Object]);
  expect(Reflect.getMetadata(NEST_METADATA.injectedParameters, Decorated)).toEqual([
    { index: 1, param: 'second' },
  ]);
  expect(Reflect.getMetadata(NEST_METADATA.injectedProperties, Decorated)).toEqual([
    { key: 'property', type: 'property' },
  ]);
});

it('finds @Plugin() under the key of an Apollo plugin', () => {
  @Plugin()
  class Decorated {}
  expect(Reflect.getMetadata(NEST_METADATA.graphqlPlugin, Decorated)).toBe(true);
});

it.each([
  ['@MessagePattern', MessagePattern('sum')],
  ['@EventPattern', EventPattern('happened') as MethodDecorator],
])('finds %s() under the key of a message', (_name, decorator) => {
  expect(markOf(decorator, NEST_METADATA.messagePattern)).toBeDefined();
});

it('finds @Get() under the key of a route, and @SubscribeMessage() under that of a socket message', () => {
  expect(markOf(Get('items'), NEST_METADATA.route)).toBe('items');
  expect(markOf(SubscribeMessage('add'), NEST_METADATA.socketMessage)).toBe(true);
});

it('finds what a handler of messages answers under its key', () => {
  class Handlers {
    @MessagePattern('message')
    message(): void {}

    @EventPattern('event')
    event(_data: unknown): void {}
  }
  const kinds = ['message', 'event'].map((name) =>
    Reflect.getMetadata(NEST_METADATA.messageKind, Reflect.get(Handlers.prototype, name) as object),
  );
  expect(kinds).toEqual([1, 2]);
});

it('finds the parameters of a route and the filters of a method under their keys', () => {
  class Refusing implements ExceptionFilter {
    catch(): void {}
  }
  class Decorated {
    @UseFilters(Refusing)
    method(@Param('id') _id: string): void {}
  }
  expect(
    Object.keys(Reflect.getMetadata(NEST_METADATA.routeParameters, Decorated, 'method') as object),
  ).toHaveLength(1);
  expect(
    Reflect.getMetadata(NEST_METADATA.exceptionFilters, Reflect.get(Decorated.prototype, 'method') as object),
  ).toEqual([Refusing]);
});

it('finds @UsePipes() under the key of pipes, and those of a parameter beside it', () => {
  @UsePipes(ParseIntPipe)
  class Decorated {
    method(@Param('id', ParseIntPipe) _id: number): void {}
  }
  expect(Reflect.getMetadata(NEST_METADATA.pipes, Decorated)).toEqual([ParseIntPipe]);
  const parameters = Reflect.getMetadata(NEST_METADATA.routeParameters, Decorated, 'method') as object;
  expect(Object.values(parameters)).toEqual([expect.objectContaining({ pipes: [ParseIntPipe] })]);
});

it('finds @UseInterceptors() under the key of interceptors, and the options of GraphQL under their token', () => {
  class Passing {}
  @UseInterceptors(Passing)
  class Decorated {}
  expect(Reflect.getMetadata(NEST_METADATA.interceptors, Decorated)).toEqual([Passing]);
  const { providers = [] } = GraphQLModule.forRoot({ driver: ApolloDriver });
  expect(providers.map((provider) => (provider as { provide?: unknown }).provide)).toContain(
    GRAPHQL_MODULE_OPTIONS,
  );
});
