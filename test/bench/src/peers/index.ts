import type { OpenPeer } from './peer.js';

export type { Capability, PartialPeer, Peer, PeerSettings } from './peer.js';

/** Who takes part, by the name that tables print. Each is loaded only in the processes that measure it. */
const LOADERS = {
  floor: () => import('./floor.js'),
  pg: () => import('./pg.js'),
  'pg.Pool': () => import('./pg-pool.js'),
  'pg.Pool, unnamed': () => import('./pg-pool-unnamed.js'),
  'pg, pipeline: true': () => import('./pg-pipeline.js'),
  'nest-async-engine': () => import('./ours.js'),
  'nest-async-engine, multiplex: false': () => import('./ours-alone.js'),
  'nest-async-engine, pgbouncer: true': () => import('./ours-pooled.js'),
  'postgres.js': () => import('./postgres-js.js'),
  'pg-query-stream': () => import('./pg-query-stream.js'),
  Kysely: () => import('./kysely.js'),
  Drizzle: () => import('./drizzle.js'),
  Knex: () => import('./knex.js'),
  TypeORM: () => import('./typeorm.js'),
  MikroORM: () => import('./mikro-orm.js'),
  'pg-promise': () => import('./pg-promise.js'),
} as const satisfies Record<string, () => Promise<{ readonly open: OpenPeer }>>;

export type PeerName = keyof typeof LOADERS;

export const OURS = 'nest-async-engine' satisfies PeerName;
/** The same without `multiplex`. */
export const OURS_ALONE = 'nest-async-engine, multiplex: false' satisfies PeerName;
/** The same as a pooler wants it. */
export const OURS_POOLED = 'nest-async-engine, pgbouncer: true' satisfies PeerName;
/** What the wire allows. */
export const FLOOR = 'floor' satisfies PeerName;
export const PIPELINE = 'pg, pipeline: true' satisfies PeerName;

/** Those that people choose between, beside `pg` itself. */
export const CLIENTS = [
  'postgres.js',
  'Kysely',
  'Drizzle',
  'Knex',
  'TypeORM',
  'MikroORM',
  'pg-promise',
] as const satisfies readonly PeerName[];

export async function loadPeer(name: PeerName): Promise<OpenPeer> {
  const { open } = await LOADERS[name]();
  return open;
}
