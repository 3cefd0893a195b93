import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { InvalidRequestError, TransactionEndedError } from 'nest-async-engine/engine';
import type { AsyncConnection, AsyncTransaction } from 'nest-async-engine/engine';
import { failureOf } from '../support/items.js';
import { countUsers, insertUser, UsersTable } from './support/users.js';

type End = 'commit' | 'rollback';
type By = 'transaction' | 'connection';

interface Variant {
  readonly end: End;
  readonly secondStatement: boolean;
  readonly nested: boolean;
}

let users: UsersTable;
beforeAll(async () => {
  users = await UsersTable.open('blocks');
});
afterEach(() => users.expectClean());
afterAll(() => users.close());

/** Inserts 10 and ends the transaction inside its block; a second statement there must be refused. */
async function interrupt(
  connection: AsyncConnection,
  transaction: AsyncTransaction | undefined,
  { end, secondStatement, nested }: Variant,
): Promise<void> {
  if (transaction === undefined) throw new TypeError('no transaction');
  if (!nested) return await endInside(connection, transaction, end, secondStatement);
  await connection.beginNested((inner) => endInside(connection, inner, end, secondStatement));
  await connection.execute(insertUser(14));
}

async function endInside(
  connection: AsyncConnection,
  ending: Pick<AsyncTransaction, End>,
  end: End,
  secondStatement: boolean,
): Promise<void> {
  await connection.execute(insertUser(10));
  await ending[end]();
  if (!secondStatement) return;
  const refusal = await failureOf(connection.execute(insertUser(12)));
  expect(refusal).toBeInstanceOf(TransactionEndedError);
  expect(refusal).toBeInstanceOf(InvalidRequestError);
}

const rowsOf = ({ end, nested }: Variant): number => (end === 'commit' ? 1 : 0) + (nested ? 1 : 0);
const named = ({ end, secondStatement, nested }: Variant): string =>
  `${end}, ${secondStatement ? 'a second statement' : 'no second statement'}, ${nested ? 'nested' : 'flat'}`;

const VARIANTS: readonly Variant[] = (['rollback', 'commit'] as const).flatMap((end) =>
  [true, false].flatMap((secondStatement) =>
    [true, false].map((nested) => ({ end, secondStatement, nested })),
  ),
);
// AE-03 and AE-06 are not in the selection; their behaviour is TX-23's.
const IDS: Readonly<Record<string, string>> = {
  'rollback, a second statement, nested': 'AE-02',
  'rollback, no second statement, nested': 'AE-04',
  'rollback, no second statement, flat': 'AE-05',
  'commit, a second statement, flat': 'AE-07',
  'commit, no second statement, nested': 'AE-08',
  'commit, no second statement, flat': 'AE-09',
};

describe('a transaction that ends inside its block', () => {
  for (const variant of VARIANTS.filter((one) => named(one) in IDS)) {
    it(`${IDS[named(variant)]}: connection.begin(work): ${named(variant)}`, async () => {
      await users.engine().connect(async (connection) => {
        await connection.begin((transaction) => interrupt(connection, transaction, variant));
      });
      expect(await users.count()).toBe(rowsOf(variant));
    });
  }

  for (const variant of VARIANTS) {
    it(`TX-22: engine.begin(work): ${named(variant)}`, async () => {
      await users.engine().begin((connection) => interrupt(connection, connection.getTransaction(), variant));
      expect(await users.count()).toBe(rowsOf(variant));
    });

    for (const by of ['transaction', 'connection'] as const satisfies readonly By[]) {
      it(`TX-23: connection.begin(work) ended by the ${by}: ${named(variant)}`, async () => {
        await users.engine().connect(async (connection) => {
          await connection.begin(async (transaction) => {
            // A connection ends the root only, so that a savepoint is always ended by itself.
            const isByConnection = by === 'connection' && !variant.nested;
            if (!isByConnection) return await interrupt(connection, transaction, variant);
            await endInside(connection, connection, variant.end, variant.secondStatement);
          });
          expect(connection.inTransaction()).toBe(false);
        });
        expect(await users.count()).toBe(rowsOf(variant));
      });
    }
  }

  it('TX-04: refuses statements until it is left, and begins nothing by itself', async () => {
    await users.engine().connect(async (connection) => {
      await connection.begin(async (transaction) => {
        await transaction.rollback();
        expect(connection.inTransaction()).toBe(false);
        expect(await failureOf(connection.execute(insertUser(1)))).toBeInstanceOf(InvalidRequestError);
        expect(connection.inTransaction()).toBe(false);
      });
      await connection.execute(insertUser(2));
      await connection.commit();
    });
    expect(await users.ids()).toEqual([2]);
  });
});

describe('a block that throws', () => {
  for (const explicit of [true, false]) {
    const how = explicit ? 'with an explicit rollback before' : 'by itself';

    it(`TX-05: a nested one is rolled back once, ${how}, and the outer one commits`, async () => {
      const statements = await users.wire((engine) =>
        engine.begin(async (connection) => {
          await connection.execute(insertUser(1));
          const block = connection.beginNested(async (nested) => {
            await connection.execute(insertUser(2));
            if (explicit) await nested.rollback();
            throw new RangeError('left');
          });
          await expect(block).rejects.toThrow('left');
          expect(connection.inNestedTransaction()).toBe(false);
          expect(connection.inTransaction()).toBe(true);
        }),
      );
      const control = statements.filter((sql) => /^(ROLLBACK|COMMIT)/.test(sql));
      expect(control).toEqual([expect.stringContaining('ROLLBACK TO SAVEPOINT'), 'COMMIT']);
      expect(await users.ids()).toEqual([1]);
    });

    it(`TX-37: a root is rolled back once, ${how}, and detached`, async () => {
      const statements = await users.wire((engine) =>
        engine.connect(async (connection) => {
          let left: AsyncTransaction | undefined;
          const block = connection.begin(async (transaction) => {
            left = transaction;
            await connection.execute(insertUser(1));
            if (explicit) await transaction.rollback();
            throw new RangeError('left');
          });
          await expect(block).rejects.toThrow('left');
          expect(left?.isActive).toBe(false);
          expect(connection.getTransaction()).toBeUndefined();
        }),
      );
      expect(statements.filter((sql) => sql === 'ROLLBACK')).toHaveLength(1);
    });
  }

  it('TX-31: rolls back once after a statement', async () => {
    const statements = await users.wire(async (engine) => {
      const block = engine.begin(async (connection) => {
        await connection.execute(countUsers);
        throw new RangeError('left');
      });
      await expect(block).rejects.toThrow('left');
    });
    expect(statements.filter((sql) => sql === 'ROLLBACK')).toHaveLength(1);
  });

  it('TX-32: sends nothing where no statement ran', async () => {
    const statements = await users.wire(async (engine) => {
      const block = engine.begin(() => Promise.reject(new RangeError('left')));
      await expect(block).rejects.toThrow('left');
    });
    expect(statements).toEqual([]);
  });
});
