import type { PGlite } from '@electric-sql/pglite';
import { createAsyncEngine, IllegalStateError, text } from 'nest-async-engine/engine';
import type { AsyncConnection, AsyncEngine } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { failureOf } from '../../../support/items.js';

let engine: AsyncEngine;

beforeAll(async () => {
  engine = createAsyncEngine('postgresql+pglite://');
  await engine.execute(text('CREATE TABLE item (name TEXT)'));
});
afterEach(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.execute(text('TRUNCATE item'));
});
afterAll(() => engine.aclose());

const insert = (name: string) => text(`INSERT INTO item VALUES ('${name}')`);
const stored = () => engine.execute(text('SELECT name FROM item')).scalars().all();

async function onInstance(connection: AsyncConnection, ...texts: readonly string[]): Promise<void> {
  const instance = (await connection.getRawConnection()).driverConnection as PGlite;
  for (const sql of texts) await instance.exec(sql);
}

describe('a transaction that the PGlite instance itself has ended', () => {
  it.each<[string[], string[]]>([
    [['COMMIT'], ['before']],
    [['ROLLBACK'], []],
    [['/* mine */ END'], ['before']],
    [['COMMIT; BEGIN'], ['before']],
    [['COMMIT', 'BEGIN'], ['before']],
    [['COMMIT AND CHAIN'], ['before']],
    [['ROLLBACK AND CHAIN'], []],
  ])('by %j takes no further statement, and none commits itself', async (texts, left) => {
    const failure = await failureOf(
      engine.begin(async (connection) => {
        await connection.execute(insert('before'));
        await onInstance(connection, ...texts);
        await connection.execute(insert('after'));
      }),
    );
    expect(failure).toBeInstanceOf(IllegalStateError);
    expect(await stored()).toEqual(left);
  });

  it('by query() with its own messages, too', async () => {
    const failure = await failureOf(
      engine.begin(async (connection) => {
        await connection.execute(insert('before'));
        const instance = (await connection.getRawConnection()).driverConnection as PGlite;
        await instance.query('COMMIT');
        await connection.execute(insert('after'));
      }),
    );
    expect(failure).toBeInstanceOf(IllegalStateError);
    expect(await stored()).toEqual(['before']);
  });

  it('goes on behind a statement and a savepoint of the instance', async () => {
    await engine.begin(async (connection) => {
      await connection.execute(insert('one'));
      await onInstance(
        connection,
        "SAVEPOINT mine; INSERT INTO item VALUES ('two'); ROLLBACK TO mine",
        'SELECT 1',
      );
      await connection.execute(insert('three'));
    });
    expect(await stored()).toEqual(['one', 'three']);
  });
});

it('a BEGIN that the instance has left open is not part of what the next borrower does', async () => {
  const raw = await engine.rawConnection();
  await (raw.driverConnection as PGlite).exec("BEGIN; INSERT INTO item VALUES ('left')");
  await raw.close();
  await engine.execute(insert('next'));
  expect(await stored()).toEqual(['next']);
});
