import 'reflect-metadata';
import { Scope, type Type } from '@nestjs/common';
import { ArgumentError } from '../../engine/index.js';
import { isSettingsToken } from '../shared/database.tokens.js';
import { methodsOf } from '../shared/methods-of.js';
import { NEST_METADATA } from '../shared/nest-metadata.js';
import type { ConnectionConsumers, Wrapper } from './connection-consumers.js';

/** An entry point that Nest calls on singletons only: what its decorator leaves on the method. */
interface StaticEntry {
  readonly metadata: string;
  readonly what: string;
  readonly matches: (value: unknown) => boolean;
}

const STATIC_ENTRIES: readonly StaticEntry[] = [
  { metadata: NEST_METADATA.scheduledJob, what: 'a scheduled job', matches: (value) => value !== undefined },
  {
    metadata: NEST_METADATA.graphqlOperation,
    what: 'a GraphQL subscription',
    matches: (value) => value === 'Subscription',
  },
];

/**
 * Refuses, when the application starts, connections of requests where there is no request, or more than one.
 */
export function refuseMisplacedConnections(consumers: ConnectionConsumers): void {
  for (const wrapper of consumers.wrappers()) {
    const [path] = consumers.pathsOf(wrapper);
    if (path === undefined) continue;
    const way = path.names.join(' → ');
    if (isDurable(wrapper)) {
      throw new ArgumentError(
        `${path.names[0]} is a durable provider and would share one request's connection among all requests of ` +
          `its tenant (${way}). Inject AsyncEngine there: its currentConnection() is that of the present request.`,
      );
    }
    const entry = staticEntryOf(wrapper);
    if (entry === undefined) continue;
    throw new ArgumentError(
      `${entry} would never run: Nest calls it on singletons only, and a request's connection makes its class ` +
        `request-scoped (${way}). Inject AsyncEngine and use @Transactional() or engine.scope().`,
    );
  }
}

/** Refuses, when the application starts, options that depend on a request: they are asked once. */
export function refuseScopedOptions(consumers: ConnectionConsumers): void {
  for (const wrapper of consumers.wrappers()) {
    if (!isSettingsToken(wrapper.token) || wrapper.isDependencyTreeStatic()) continue;
    throw new ArgumentError(
      `${String(wrapper.token)}: what DatabaseModule.forRootAsync() injects depends on a request, and an engine is made ` +
        `once, at the start. Inject singletons there. For each request, use requestScope.connection (settings, readOnly, …) ` +
        `or choose among named databases.`,
    );
  }
}

function isDurable({ scope, durable }: Wrapper): boolean {
  return scope === Scope.REQUEST && durable === true;
}

/** `Cleanup.run, a scheduled job`, where the class has one. */
function staticEntryOf({ metatype }: Wrapper): string | undefined {
  if (typeof metatype !== 'function') return undefined;
  for (const [name, method] of methodsOf(metatype as Type)) {
    const found = STATIC_ENTRIES.find(({ metadata, matches }) =>
      matches(Reflect.getMetadata(metadata, method)),
    );
    if (found !== undefined) return `${metatype.name}.${name}, ${found.what},`;
  }
  return undefined;
}
