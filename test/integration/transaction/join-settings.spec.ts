import { IllegalStateError, text, type AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { failureOf, insert, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
beforeAll(async () => {
  items = await ItemDatabase.open('join');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const TENANT = text("SELECT current_setting('app.tenant', true)");
const tenant = (value: string, name = 'app.tenant') => ({ settings: { [name]: value } });

const joining = (engine: AsyncEngine, value: string, name?: string) =>
  engine.transaction(() => engine.scalar(TENANT), { propagation: 'required', ...tenant(value, name) });

describe("a transaction that joins ('required') and asks for a setting", () => {
  it.each<[string, (engine: AsyncEngine, join: () => Promise<unknown>) => Promise<unknown>]>([
    ['the root', (engine, join) => engine.transaction(join, tenant('a'))],
    ['the engine', (engine, join) => engine.transaction(join)],
    [
      'a nested one around it',
      (engine, join) => engine.transaction(() => engine.transaction(join, tenant('a'))),
    ],
    [
      'the root, through a nested one without settings',
      (engine, join) => engine.transaction(() => engine.transaction(join), tenant('a')),
    ],
    [
      'another that has joined before',
      (engine, join) =>
        engine.transaction(() => engine.transaction(join, { propagation: 'required' }), tenant('a')),
    ],
  ])('has it where it holds already, by %s', async (name, run) => {
    const engine = items.engine(name === 'the engine' ? tenant('a') : {});
    expect(await run(engine, () => joining(engine, 'a'))).toBe('a');
  });

  it.each<[string, (engine: AsyncEngine, join: () => Promise<unknown>) => Promise<unknown>]>([
    ['the root', (engine, join) => engine.transaction(join, tenant('b'))],
    ['the engine', (engine, join) => engine.transaction(join)],
    [
      'a nested one',
      (engine, join) => engine.transaction(() => engine.transaction(join, tenant('b')), tenant('a')),
    ],
    ['nobody', (engine, join) => engine.transaction(join)],
  ])('is refused before its work is called where %s has set another', async (name, run) => {
    const engine = items.engine(name === 'the engine' ? tenant('b') : {});
    let calls = 0;
    const join = () =>
      engine.transaction(
        async () => {
          calls += 1;
          await engine.execute(insert('never'));
        },
        { propagation: 'required', ...tenant('a') },
      );
    expect(await failureOf(run(engine, join))).toBeInstanceOf(IllegalStateError);
    expect(calls).toBe(0);
    expect(await items.names()).toEqual([]);
  });

  it('knows the name in any case, as PostgreSQL does', async () => {
    const engine = items.engine();
    expect(await engine.transaction(() => joining(engine, 'a', 'APP.Tenant'), tenant('a'))).toBe('a');
    expect(
      await failureOf(engine.transaction(() => joining(engine, 'b', 'APP.Tenant'), tenant('a'))),
    ).toBeInstanceOf(IllegalStateError);
  });
});

describe('settings by a name in different cases', () => {
  it('are one setting: the nearest wins', async () => {
    const engine = items.engine(tenant('engine')).executionOptions(tenant('middle', 'APP.Tenant'));
    expect(await engine.scalar(TENANT)).toBe('middle');
    expect(await engine.executionOptions(tenant('last')).scalar(TENANT)).toBe('last');
    expect(await engine.transaction(() => engine.scalar(TENANT), tenant('near'))).toBe('near');
    expect(await engine.begin((connection) => connection.scalar(TENANT), tenant('near', 'App.Tenant'))).toBe(
      'near',
    );
  });

  it('are one setting in an engine: its own and that of its transactions', async () => {
    const engine = items.engine({
      settings: { 'App.Tenant': 'session' },
      executionOptions: tenant('transaction', 'APP.TENANT'),
    });
    expect(await engine.connect((connection) => connection.scalar(TENANT))).toBe('transaction');
    expect(await engine.transaction(() => joining(engine, 'inner'), tenant('inner'))).toBe('inner');
  });
});

describe('settings whose names are longer than 63 bytes', () => {
  const [one, other] = ['a', 'b'].map((end) => `app.${'x'.repeat(70)}${end}`) as [string, string];

  it('are two where only their ends differ, and end with their transaction', async () => {
    const engine = items.engine();
    const both = text(`SELECT current_setting('${one}', true), current_setting('${other}', true)`);
    const seen = await engine.transaction(() => engine.execute(both).tuples().one(), {
      settings: { [one]: '1', [other]: '2' },
    });
    expect(seen).toEqual(['1', '2']);
    const after = await engine.execute(both).tuples().one();
    expect(after).toEqual(['', '']);
  });

  it('are restored behind a nested transaction', async () => {
    const engine = items.engine();
    const ask = () => engine.scalar(text(`SELECT current_setting('${one}')`));
    await engine.transaction(
      async () => {
        expect(await engine.transaction(ask, { settings: { [one]: 'inner', [other]: 'x' } })).toBe('inner');
        expect(await ask()).toBe('outer');
      },
      { settings: { [one]: 'outer' } },
    );
  });
});
