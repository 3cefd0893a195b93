import type { OpenPeer } from './peer.js';

export type { Capability, PartialPeer, Peer, PeerSettings } from './peer.js';

/** Who takes part, by the name that tables print. Each is loaded only in the processes that measure it. */
const LOADERS = {
  pg: () => import('./pg.js'),
  'pg.Pool': () => import('./pg-pool.js'),
  'nest-async-engine': () => import('./ours.js'),
  'postgres.js': () => import('./postgres-js.js'),
  'pg-query-stream': () => import('./pg-query-stream.js'),
  Kysely: () => import('./kysely.js'),
  Drizzle: () => import('./drizzle.js'),
  Knex: () => import('./knex.js'),
  TypeORM: () => import('./typeorm.js'),
  'pg-promise': () => import('./pg-promise.js'),
} as const satisfies Record<string, () => Promise<{ readonly open: OpenPeer }>>;

export type PeerName = keyof typeof LOADERS;

export const OURS = 'nest-async-engine' satisfies PeerName;

export async function loadPeer(name: PeerName): Promise<OpenPeer> {
  const { open } = await LOADERS[name]();
  return open;
}
