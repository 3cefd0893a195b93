import 'reflect-metadata';
import { DataSource, EntitySchema, type EntityManager } from 'typeorm';
import type { Account, Happening, Measurement, WideRow } from '../fixtures.js';
import type { OpenPeer, PartialPeer, PeerSettings } from './peer.js';

interface VisitedAccount extends Account {
  readonly visits: number;
}

export const AccountEntity = new EntitySchema<VisitedAccount>({
  name: 'accounts',
  columns: {
    id: { type: 'int', primary: true },
    name: { type: 'text' },
    balance: { type: 'int' },
    visits: { type: 'int', select: false },
  },
});
const WideEntity = new EntitySchema<WideRow>({
  name: 'wide',
  columns: {
    id: { type: 'int', primary: true },
    rank: { type: 'int' },
    total: { type: 'bigint' },
    title: { type: 'text' },
    code: { type: 'varchar', length: 20 },
    price: { type: 'numeric', precision: 12, scale: 2 },
    active: { type: 'boolean' },
    created: { type: 'timestamptz' },
    score: { type: 'double precision' },
    details: { type: 'jsonb' },
  },
});
const MeasurementEntity = new EntitySchema<Measurement>({
  name: 'measurements',
  columns: {
    id: { type: 'int', primary: true },
    sensor: { type: 'int' },
    label: { type: 'text' },
    value: { type: 'double precision' },
  },
});
const HappeningEntity = new EntitySchema<Happening>({
  name: 'happenings',
  columns: {
    id: { type: 'int', primary: true },
    kind: { type: 'text' },
    amount: { type: 'int' },
    note: { type: 'text' },
  },
});

class TypeormPeer implements PartialPeer {
  readonly #source: DataSource;

  constructor(source: DataSource) {
    this.#source = source;
  }

  selectById(id: number): Promise<Account> {
    return selectById(this.#source.manager, id);
  }

  selectWide(): Promise<readonly WideRow[]> {
    return this.#source.getRepository(WideEntity).find({ order: { id: 'ASC' } });
  }

  visit(id: number): Promise<number> {
    return this.#source.transaction(async (manager) => {
      const { balance } = await selectById(manager, id);
      await manager.increment(AccountEntity, { id }, 'visits', 1);
      return balance;
    });
  }

  nested(first: number, second: number): Promise<number> {
    return this.#source.transaction(async (manager) => {
      const one = await manager.transaction((nested) => selectById(nested, first));
      const other = await manager.transaction((nested) => selectById(nested, second));
      return one.balance + other.balance;
    });
  }

  /** One `insert()`; `save()` would be slower by far. */
  async insertMany(rows: readonly Measurement[]): Promise<void> {
    await this.#source
      .createQueryBuilder()
      .insert()
      .into(MeasurementEntity)
      .values([...rows])
      .updateEntity(false)
      .execute();
  }

  async stream(consume: (row: Happening) => void): Promise<void> {
    const rows = await this.#source
      .getRepository(HappeningEntity)
      .createQueryBuilder('happening')
      .select([
        'happening.id AS id',
        'happening.kind AS kind',
        'happening.amount AS amount',
        'happening.note AS note',
      ])
      .stream();
    for await (const row of rows) consume(row as unknown as Happening);
  }

  close(): Promise<void> {
    return this.#source.destroy();
  }
}

function selectById(manager: EntityManager, id: number): Promise<Account> {
  return manager.findOneByOrFail(AccountEntity, { id });
}

export async function openDataSource({ url, connections }: PeerSettings): Promise<DataSource> {
  const entities = [AccountEntity, WideEntity, MeasurementEntity, HappeningEntity];
  return await new DataSource({ type: 'postgres', url, poolSize: connections, entities }).initialize();
}

export const open: OpenPeer = async (settings) => new TypeormPeer(await openDataSource(settings));
