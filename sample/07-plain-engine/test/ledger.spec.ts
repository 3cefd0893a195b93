import { AsyncEngine, createAsyncEngine } from 'nest-async-engine/engine';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../../test/support/server/postgres.js';
import { Ledger, NoMoneyError } from '../src/ledger.js';

describe('the ledger', () => {
  let database: TestDatabase;
  let engine: AsyncEngine;
  let ledger: Ledger;

  beforeEach(async () => {
    database = await createDatabase('ledger');
    engine = createAsyncEngine(database.url, { poolSize: 4 });
    ledger = new Ledger(engine);
    await ledger.open([
      { owner: 'Ann', cents: 1_000 },
      { owner: 'Bob', cents: 1_000 },
    ]);
  });

  afterEach(async () => {
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
    await database.drop();
  });

  const balances = async () => (await ledger.accounts()).map(({ cents }) => cents);

  it('books each of many transfers at once exactly once', async () => {
    await Promise.all(Array.from({ length: 10 }, () => ledger.transfer('Ann', 'Bob', 50)));
    expect(await balances()).toEqual([500, 1_500]);
  });

  it('lets nobody spend the same money twice', async () => {
    const outcomes = await Promise.allSettled([
      ledger.transfer('Ann', 'Bob', 700),
      ledger.transfer('Ann', 'Bob', 700),
    ]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(await balances()).toEqual([300, 1_700]);
  });

  it('undoes all transfers of a list when one of them fails', async () => {
    const transfers = ledger.transferAll([
      ['Ann', 'Bob', 100],
      ['Ann', 'Bob', 5_000],
    ]);
    await expect(transfers).rejects.toBeInstanceOf(NoMoneyError);
    expect(await balances()).toEqual([1_000, 1_000]);
  });

  it('gives its connection back when a reader of the entries leaves early', async () => {
    await ledger.transfer('Ann', 'Bob', 1);
    for await (const entry of ledger.entries()) {
      expect(entry).toEqual({ id: 1, owner: 'Ann', cents: -1 });
      break;
    }
    expect(engine.pool.checkedOut()).toBe(0);
  });
});
