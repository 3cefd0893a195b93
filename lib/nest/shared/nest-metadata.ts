import 'reflect-metadata';

/**
 * Keys under which Nest's own decorators leave what they know on a method or a class. Nest exports none of
 * them.
 */
export const NEST_METADATA = {
  /** `@Sse()`. */
  eventStream: '__sse__',
  /** `@Cron()`, `@Interval()`, `@Timeout()`. */
  scheduledJob: 'SCHEDULER_TYPE',
  /** `@Query()`, `@Mutation()`, `@Subscription()`: the name of the operation. */
  graphqlOperation: 'graphql:resolver_type',
  /** `@Plugin()`, by which Apollo's module finds a plugin among the providers. */
  graphqlPlugin: 'graphql:plugin',
  /** `@MessagePattern()`, `@EventPattern()`. */
  messagePattern: 'microservices:pattern',
  /** What it answers: `1` a message, `2` an event. */
  messageKind: 'microservices:handler_type',
  /** `@SubscribeMessage()`. */
  socketMessage: 'websockets:message_mapping',
  /** `@Get()`, `@Post()`, `@All()`, …: the path. */
  route: 'path',
  /** `@Param()`, `@Body()`, …: by the class and the name of the method. */
  routeParameters: '__routeArguments__',
  /** The types of what a class is made of, as the compiler has written them. */
  parameterTypes: 'design:paramtypes',
  /** `@Inject()` in a constructor: index and token. */
  injectedParameters: 'self:paramtypes',
  /** `@Inject()` on a property: its key and token. */
  injectedProperties: 'self:properties_metadata',
  /** `@UseFilters()`, on a class or a method. */
  exceptionFilters: '__exceptionFilters__',
  /** `@UsePipes()`, on a class or a method. */
  pipes: '__pipes__',
  /** `@UseInterceptors()`, on a class or a method. */
  interceptors: '__interceptors__',
} as const;

/** The token under which Nest's GraphQL module keeps its options. */
export const GRAPHQL_MODULE_OPTIONS = 'GqlModuleOptions';

/** The list that a decorator has left under `key` on a class or a method; empty where there is none. */
export function metadataList(key: string, target: object): unknown[] {
  return (Reflect.getMetadata(key, target) as unknown[] | undefined) ?? [];
}
