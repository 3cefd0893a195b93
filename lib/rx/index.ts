/**
 * Queries, notifications and transactions as Observables.
 *
 * @module nest-async-engine/rx
 */
export { fromChannel } from './from-channel.js';
export type { ChannelOptions, Notification } from './from-channel.js';
export { fromQuery } from './from-query.js';
export type { QueryOptions } from './from-query.js';
export { inTransaction } from './in-transaction.js';
export type { DrainTarget } from './drain-target.js';
