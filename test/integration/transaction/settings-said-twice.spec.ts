import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ArgumentError, text } from 'nest-async-engine/engine';
import type { AsyncEngineOptions, ExecutionOptions, TransactionOptions } from 'nest-async-engine/engine';
import { Transactional } from 'nest-async-engine';
import { ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
beforeAll(async () => {
  items = await ItemDatabase.open('settings_said_twice');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const SETTINGS = text<{ lock: string; statement: string; readOnly: string }>(
  `SELECT current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement,
          current_setting('transaction_read_only') AS "readOnly"`,
);

describe('a setting that is written as an option and as a setting', () => {
  it.each<[string, AsyncEngineOptions]>([
    ['lockTimeout', { lockTimeout: 500, settings: { lock_timeout: '111' } }],
    ['statementTimeout', { statementTimeout: 500, settings: { Statement_Timeout: '0' } }],
    ['applicationName', { applicationName: 'a', settings: { application_name: 'b' } }],
    [
      'idleInTransactionTimeout',
      { idleInTransactionTimeout: 5, settings: { idle_in_transaction_session_timeout: '0' } },
    ],
  ])('is refused by one engine: %s', (option, options) => {
    expect(() => items.engine(options)).toThrow(
      new RegExp(`^settings\\['\\w+'\\] and the option '${option}' say the same\\. Write one of them\\.$`),
    );
  });

  it.each<[string, TransactionOptions]>([
    ['lockTimeout', { lockTimeout: 500, settings: { lock_timeout: '111' } }],
    ['statementTimeout', { statementTimeout: 500, settings: { STATEMENT_TIMEOUT: '0' } }],
    ['readOnly', { readOnly: true, settings: { transaction_read_only: 'off' } }],
    ['deferrable', { deferrable: true, settings: { transaction_deferrable: 'off' } }],
  ])('is refused by one transaction: %s', async (option, options) => {
    const engine = items.engine();
    const work = (): Promise<unknown> => engine.execute(SETTINGS);
    await expect(engine.transaction(work, options)).rejects.toThrow(ArgumentError);
    await expect(engine.begin(work, options)).rejects.toThrow(`the option '${option}' say the same`);
    expect(() => Transactional(options)).toThrow(ArgumentError);
  });

  it.each<[string, AsyncEngineOptions, ExecutionOptions, TransactionOptions, object]>([
    [
      'a setting inside of an option',
      { lockTimeout: 500 },
      {},
      { settings: { lock_timeout: '111' } },
      { lock: '111ms' },
    ],
    [
      'an option inside of a setting',
      {},
      { settings: { lock_timeout: '111' } },
      { lockTimeout: 500 },
      { lock: '500ms' },
    ],
    [
      'readOnly: false inside of a setting',
      {},
      { settings: { transaction_read_only: 'on' } },
      { readOnly: false },
      { readOnly: 'off' },
    ],
    [
      'a setting inside of readOnly',
      {},
      { readOnly: true },
      { settings: { transaction_read_only: 'off' } },
      { readOnly: 'off' },
    ],
    [
      'another setting',
      {},
      { settings: { statement_timeout: '77' } },
      { lockTimeout: 5 },
      { lock: '5ms', statement: '77ms' },
    ],
  ])('has the value of the level below: %s', async (_case, ofEngine, derived, own, found) => {
    const engine = items.engine(ofEngine).executionOptions(derived);
    const row = await engine.transaction(async () => (await engine.execute(SETTINGS)).one(), own);
    expect(row).toMatchObject(found);
  });

  it('has the value of the method, below that of its class', async () => {
    const engine = items.engine();
    const inEngine = (): typeof engine => engine;
    @Transactional({ lockTimeout: 500, engine: inEngine })
    class Orders {
      @Transactional({ settings: { lock_timeout: '111' } })
      async read(): Promise<unknown> {
        return (await engine.execute(SETTINGS)).one();
      }
    }
    expect(await new Orders().read()).toMatchObject({ lock: '111ms' });
  });

  it('has the value of the nested transaction until that ends', async () => {
    const engine = items.engine();
    const lock = async (): Promise<string> => (await engine.execute(SETTINGS)).one().lock;
    const found = await engine.transaction(
      async () => [
        await lock(),
        await engine.transaction(lock, { settings: { lock_timeout: '111' } }),
        await lock(),
      ],
      { lockTimeout: 500 },
    );
    expect(found).toEqual(['500ms', '111ms', '500ms']);
  });
});
