import { createAsyncEngine, text, type AsyncEngine, type AsyncEngineOptions } from 'nest-async-engine/engine';
import type { Account, Happening, Measurement, WideRow } from '../fixtures.js';
import { STREAM_BATCH, type OpenPeer, type Peer } from './peer.js';

export const selectAccount = text<Account>('SELECT id, name, balance FROM accounts WHERE id = :id');
const countVisit = text('UPDATE accounts SET visits = visits + 1 WHERE id = :id');
const selectWide = text<WideRow>(
  'SELECT id, rank, total, title, code, price, active, created, score, details FROM wide ORDER BY id',
);
const insertMeasurement = text(
  'INSERT INTO measurements (id, sensor, label, value) VALUES (:id, :sensor, :label, :value)',
);
const selectHappenings = text<Happening>('SELECT id, kind, amount, note FROM happenings');

/** This library, by the ambient engine that a service uses. */
class EnginePeer implements Peer {
  readonly #engine: AsyncEngine;

  constructor(engine: AsyncEngine) {
    this.#engine = engine;
  }

  selectById(id: number): Promise<Account> {
    return this.#engine.execute(selectAccount, { id }).one();
  }

  selectWide(): Promise<readonly WideRow[]> {
    return this.#engine.execute(selectWide).all();
  }

  visit(id: number): Promise<number> {
    return this.#engine.transaction(async () => {
      const { balance } = await this.selectById(id);
      await this.#engine.execute(countVisit, { id });
      return balance;
    });
  }

  nested(first: number, second: number): Promise<number> {
    return this.#engine.transaction(async () => (await this.#inner(first)) + (await this.#inner(second)));
  }

  async insertMany(rows: readonly Measurement[]): Promise<void> {
    await this.#engine.execute(insertMeasurement, rows);
  }

  selectHappenings(): Promise<readonly Happening[]> {
    return this.#engine.execute(selectHappenings).all();
  }

  async stream(consume: (row: Happening) => void): Promise<void> {
    for await (const row of this.#engine.stream(selectHappenings, {}, { yieldPer: STREAM_BATCH }))
      consume(row);
  }

  close(): Promise<void> {
    return this.#engine.aclose();
  }

  async #inner(id: number): Promise<number> {
    const { balance } = await this.#engine.transaction(() => this.selectById(id));
    return balance;
  }
}

export function openOurs(options: AsyncEngineOptions = {}): OpenPeer {
  return async ({ url, connections }) =>
    new EnginePeer(createAsyncEngine(url, { poolSize: connections, maxOverflow: 0, ...options }));
}

export const open = openOurs();
