import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ArgumentError, TransactionEndedError, TransactionTimeoutError } from 'nest-async-engine/engine';
import type { AsyncEngine, AsyncTransaction } from 'nest-async-engine/engine';
import { Latch } from '../../support/process/barrier.js';
import { failureOf, insert, MemoryLogger, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('within');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const start = (): AsyncEngine => (engine = items.engine({ logger: new MemoryLogger(), poolSize: 1 }));

const inside = (of: AsyncEngine): AsyncTransaction => {
  const transaction = of.currentConnection().getNestedTransaction();
  if (transaction === undefined) throw new Error('there is none');
  return transaction;
};
const stuck = async (): Promise<never> => {
  await engine.execute(insert('undone'));
  return await new Promise(() => undefined);
};

describe('transaction.within()', () => {
  it.each(['commit', 'rollback'] as const)(
    'makes what the engine runs a part that its %s ends',
    async (end) => {
      await using connection = await start().connect();
      const transaction = await connection.begin();
      const answer = await transaction.within(async () => {
        await engine.execute(insert('plain'));
        await engine.transaction(() => engine.execute(insert('nested')));
        await engine.transaction(() => engine.execute(insert('joined')), { propagation: 'mandatory' });
        expect(engine.currentConnection()).toBe(connection);
        return 'answer';
      });
      expect([answer, transaction.isActive]).toEqual(['answer', true]);
      await connection.execute(insert('after'));
      await transaction[end]();
      expect(await items.names()).toEqual(end === 'commit' ? ['after', 'joined', 'nested', 'plain'] : []);
    },
  );

  it('leaves the transaction to its owner when the work throws, and undoes what was nested', async () => {
    await start().begin(async (connection) => {
      const transaction = connection.getTransaction();
      const work = transaction?.within(async () => {
        await engine.execute(insert('kept'));
        await engine.transaction(async () => {
          await engine.execute(insert('undone'));
          throw new Error('no');
        });
      });
      expect(await failureOf(work as Promise<void>)).toMatchObject({ message: 'no' });
    });
    expect(await items.names()).toEqual(['kept']);
  });

  it('works for a savepoint, and refuses what its work left running', async () => {
    const ended = new Latch();
    let late: Promise<unknown> | undefined;
    await start().begin(async (connection) => {
      await using nested = await connection.beginNested();
      await nested.within(async () => {
        await engine.execute(insert('undone'));
        late = failureOf(ended.opened.then(() => engine.execute(insert('late'))));
      });
      ended.open();
      expect(await late).toBeInstanceOf(TransactionEndedError);
      await nested.rollback();
      await connection.execute(insert('outer'));
    });
    expect(await items.names()).toEqual(['outer']);
  });

  it('refuses a transaction that has ended, and a work that is no function', async () => {
    await using connection = await start().connect();
    const transaction = await connection.begin();
    expect(await failureOf(transaction.within(Promise.resolve() as never))).toBeInstanceOf(ArgumentError);
    await transaction.commit();
    const late = transaction.within(() => engine.execute(insert('late')));
    expect(await failureOf(late)).toBeInstanceOf(TransactionEndedError);
    expect(await items.names()).toEqual([]);
  });

  it.each(['root', 'savepoint'] as const)(
    'ends with the time of its transaction, whatever its work waits for: %s',
    async (kind) => {
      await using connection = await start().connect();
      const root = await connection.begin(kind === 'root' ? { timeout: 100 } : {});
      const work = root.within(() =>
        kind === 'root' ? stuck() : engine.transaction(() => inside(engine).within(stuck), { timeout: 100 }),
      );
      expect(await failureOf(work)).toBeInstanceOf(TransactionTimeoutError);
      if (kind === 'root')
        expect(await failureOf(connection.execute(insert('late')))).toBeInstanceOf(TransactionTimeoutError);
      await root.rollback();
      await connection.execute(insert('next'));
      await connection.commit();
      expect(await items.names()).toEqual(['next']);
    },
  );
});
