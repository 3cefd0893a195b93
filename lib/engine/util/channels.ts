import { channel } from 'node:diagnostics_channel';

/** What happens to the connections of a pool. */
export const POOL_EVENTS = [
  'connect',
  'firstConnect',
  'checkout',
  'checkin',
  'reset',
  'close',
  'detach',
  'invalidate',
  'softInvalidate',
] as const;

/** What happens on one connection of an engine. */
export const CONNECTION_EVENTS = [
  'beforeExecute',
  'afterExecute',
  'beforeCursorExecute',
  'afterCursorExecute',
  'handleError',
  'begin',
  'commit',
  'rollback',
  'savepoint',
  'rollbackSavepoint',
  'releaseSavepoint',
  'setConnectionExecutionOptions',
  'engineConnect',
] as const;

/** What happens to an engine. */
export const ENGINE_EVENTS = ['engineDisposed', 'retry'] as const;

export type PoolEventName = (typeof POOL_EVENTS)[number];
export type ConnectionEventName = (typeof CONNECTION_EVENTS)[number];
export type EngineEventName = (typeof ENGINE_EVENTS)[number];
export type EventName = PoolEventName | ConnectionEventName | EngineEventName;

const open = (name: EventName) => channel(`nest-async-engine:${name}`);

const CHANNELS = new Map(
  [...POOL_EVENTS, ...CONNECTION_EVENTS, ...ENGINE_EVENTS].map((name) => [name, open(name)]),
);
const POOL_CHANNELS = POOL_EVENTS.map(open);
const CONNECTION_CHANNELS = CONNECTION_EVENTS.map(open);

/** Somebody has subscribed to `nest-async-engine:` and the name of a pool's event. */
export function isPoolTraced(): boolean {
  for (const one of POOL_CHANNELS) if (one.hasSubscribers) return true;
  return false;
}

/** Somebody has subscribed to `nest-async-engine:` and the name of a connection's event. */
export function isConnectionTraced(): boolean {
  for (const one of CONNECTION_CHANNELS) if (one.hasSubscribers) return true;
  return false;
}

/**
 * Hands the event's object to the subscribers of `nest-async-engine:<name>`; what they throw, Node reports.
 */
export function publish(name: EventName, event: object): void {
  const one = CHANNELS.get(name);
  if (one?.hasSubscribers === true) one.publish(event);
}
