import { AbsentError } from '../benchmark-error.js';
import type { Account, Happening, Measurement, WideRow } from '../fixtures.js';
import type { OpenPeer, PartialPeer } from './peer.js';
import { STREAM_BATCH } from './peer.js';

/** The oldest Node.js that it runs on. */
const OLDEST_NODE = 22;

export const open: OpenPeer = async (settings) => {
  const major = Number.parseInt(process.versions.node, 10);
  if (major < OLDEST_NODE) throw new AbsentError(`MikroORM needs Node.js ${OLDEST_NODE}; this is ${major}.`);
  const { EntitySchema, MikroORM, raw } = await import('@mikro-orm/postgresql');

  const Accounts = new EntitySchema<Account & { readonly visits: number }>({
    name: 'Accounts',
    tableName: 'accounts',
    properties: {
      id: { type: 'integer', primary: true },
      name: { type: 'text' },
      balance: { type: 'integer' },
      visits: { type: 'integer', lazy: true },
    },
  });
  const Wide = new EntitySchema<WideRow>({
    name: 'Wide',
    tableName: 'wide',
    properties: {
      id: { type: 'integer', primary: true },
      rank: { type: 'integer' },
      total: { type: 'bigint' },
      title: { type: 'text' },
      code: { type: 'string' },
      price: { type: 'decimal' },
      active: { type: 'boolean' },
      created: { type: 'datetime' },
      score: { type: 'double' },
      details: { type: 'json' },
    },
  });
  const Measurements = new EntitySchema<Measurement>({
    name: 'Measurements',
    tableName: 'measurements',
    properties: {
      id: { type: 'integer', primary: true },
      sensor: { type: 'integer' },
      label: { type: 'text' },
      value: { type: 'double' },
    },
  });
  const Happenings = new EntitySchema<Happening>({
    name: 'Happenings',
    tableName: 'happenings',
    properties: {
      id: { type: 'integer', primary: true },
      kind: { type: 'text' },
      amount: { type: 'integer' },
      note: { type: 'text' },
    },
  });
  const orm = await MikroORM.init({
    clientUrl: settings.url,
    entities: [Accounts, Wide, Measurements, Happenings],
    pool: { min: 0, max: settings.connections },
  });
  type Manager = ReturnType<typeof orm.em.fork>;
  const select = (em: Manager, id: number): Promise<Account> =>
    em.findOneOrFail(Accounts, id, { disableIdentityMap: true });

  return {
    // A fork for each unit of work, as for each request.
    selectById: (id) => select(orm.em.fork(), id),
    selectWide: () => orm.em.fork().findAll(Wide, { orderBy: { id: 'asc' }, disableIdentityMap: true }),
    visit: (id) =>
      orm.em.fork().transactional(async (em) => {
        const { balance } = await select(em, id);
        await em.nativeUpdate(Accounts, { id }, { visits: raw<number>('visits + 1') });
        return balance;
      }),
    nested: (first, second) =>
      orm.em.fork().transactional(async (em) => {
        const one = await em.transactional((nested) => select(nested, first));
        const other = await em.transactional((nested) => select(nested, second));
        return one.balance + other.balance;
      }),
    async insertMany(rows) {
      await orm.em.fork().insertMany(Measurements, [...rows]);
    },
    async stream(consume) {
      const rows = orm.em.fork().stream(Happenings, { chunkSize: STREAM_BATCH });
      for await (const row of rows) consume(row);
    },
    close: () => orm.close(),
  } satisfies PartialPeer;
};
