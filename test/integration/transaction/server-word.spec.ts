import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from 'pg';
import { IllegalStateError, text } from 'nest-async-engine/engine';
import type { AsyncConnection, AsyncEngine } from 'nest-async-engine/engine';
import { failureOf, insert, MemoryLogger, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('server_word');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const start = (): AsyncEngine => (engine = items.engine({ logger: new MemoryLogger() }));

/** Sends `sql` past the engine, on the session of the transaction in progress. */
async function behind(connection: AsyncConnection, sql: string): Promise<void> {
  const { driverConnection } = await connection.getRawConnection();
  await (driverConnection as Client).query(sql);
}

describe('a statement that would change the transaction', () => {
  it.each([
    'COMMIT',
    'rollback',
    '/* done */ END',
    '-- well\nABORT WORK',
    '; BEGIN',
    'START TRANSACTION READ ONLY',
    'COMMIT AND CHAIN',
    "PREPARE TRANSACTION 'one'",
  ])('%j is refused before it is sent, and the transaction goes on', async (sql) => {
    await start().transaction(async () => {
      await engine.execute(insert('before'));
      const connection = engine.currentConnection();
      const sendings: (() => PromiseLike<unknown>)[] = [
        () => engine.execute(text(sql)),
        () => connection.execDriverSql(sql),
        () => connection.stream(text(sql)).all(),
      ];
      for (const sending of sendings)
        expect(await failureOf(Promise.resolve().then<unknown>(sending))).toBeInstanceOf(IllegalStateError);
      await engine.execute(insert('after'));
    });
    expect(await items.names()).toEqual(['after', 'before']);
  });

  it('is refused outside of transactions, too', async () => {
    expect(await failureOf(Promise.resolve().then(() => start().execute(text('BEGIN'))))).toBeInstanceOf(
      IllegalStateError,
    );
  });

  it('is the connection’s own where nothing else owns its transaction', async () => {
    await using connection = await start().connect();
    const send = (sql: string) => connection.execute(text(sql));
    for (const sql of ['BEGIN', "INSERT INTO item (name) VALUES ('kept')", '/* app=shop */ COMMIT'])
      await send(sql);
    await send("INSERT INTO item (name) VALUES ('undone')");
    await send('rollback work');
    expect(connection.inTransaction()).toBe(false);
    await send('SELECT 1');
    expect(await failureOf(send('BEGIN'))).toBeInstanceOf(IllegalStateError);
    expect(await failureOf(send('COMMIT AND CHAIN'))).toBeInstanceOf(IllegalStateError);
    await connection.rollback();
    await connection.begin();
    await connection.execute(insert('owned'));
    expect(await failureOf(send('COMMIT'))).toBeInstanceOf(IllegalStateError);
    await connection.rollback();
    expect(await items.names()).toEqual(['kept']);
  });

  it.each(['SAVEPOINT mine', "COMMIT PREPARED 'no'", 'SET TRANSACTION READ ONLY', 'PREPARE p AS SELECT 1'])(
    '%j is not such a statement',
    async (sql) => {
      const failure: unknown = await start()
        .transaction(() =>
          engine
            .execute(text(sql))
            .all()
            .catch((error: unknown) => Promise.reject(error)),
        )
        .catch((error: unknown) => error);
      expect(failure).not.toBeInstanceOf(IllegalStateError);
    },
  );
});

describe('a transaction that something else ended on the server', () => {
  it.each(['COMMIT', 'ROLLBACK', 'COMMIT; BEGIN; ROLLBACK'])(
    'by %j refuses the next statement, which would commit itself, and throws',
    async (sql) => {
      const work = start().transaction(async () => {
        await engine.execute(insert('before'));
        await behind(engine.currentConnection(), sql);
        const late = await failureOf(engine.execute(insert('late')));
        const later = await failureOf(engine.transaction(() => engine.execute(insert('later'))));
        expect([late, later].every((each) => each instanceof IllegalStateError)).toBe(true);
      });
      expect(await failureOf(work)).toBeInstanceOf(IllegalStateError);
      expect(await items.names()).toEqual(sql.startsWith('COMMIT') ? ['before'] : []);
    },
  );

  it.each([
    'COMMIT; BEGIN',
    'ROLLBACK; BEGIN',
    'ROLLBACK; START TRANSACTION',
    'COMMIT AND CHAIN',
    '/* x */ rollback work and chain',
    'abort /* x */ and -- y\nchain',
  ])('by %j, behind which the status looks right again, refuses the next statement', async (sql) => {
    for (const isNested of [false, true]) {
      const work = start().transaction(async () => {
        await engine.execute(insert(`before, ${isNested}`));
        await behind(engine.currentConnection(), sql);
        const late = isNested
          ? engine.transaction(() => engine.execute(insert('late')))
          : engine.execute(insert('late'));
        expect(await failureOf(late)).toBeInstanceOf(IllegalStateError);
      });
      expect(await failureOf(work)).toBeInstanceOf(IllegalStateError);
    }
    expect((await items.names()).includes('late')).toBe(false);
  });

  it.each(['COMMIT; BEGIN', 'ROLLBACK AND CHAIN'])(
    'by %j as the last thing makes its COMMIT throw',
    async (sql) => {
      const work = start().transaction(async () => {
        await engine.execute(insert('before'));
        await behind(engine.currentConnection(), sql);
      });
      expect(await failureOf(work)).toBeInstanceOf(IllegalStateError);
      expect(await engine.scalar(text("SELECT current_setting('transaction_isolation')"))).toBe(
        'read committed',
      );
    },
  );

  it('goes on behind a savepoint of the raw client, and behind a statement that was repeated', async () => {
    await start().transaction(async () => {
      await engine.execute(insert('before'));
      const connection = engine.currentConnection();
      for (const sql of ['SAVEPOINT mine', 'SELECT 1', 'ROLLBACK TO mine; RELEASE mine', 'BEGIN'])
        await behind(connection, sql);
      await engine.execute(insert('after'));
    });
    expect(await items.names()).toEqual(['after', 'before']);
  });

  it('throws also where no statement comes after it', async () => {
    const work = start().begin(async (connection) => {
      await connection.execute(insert('before'));
      await behind(connection, 'ROLLBACK');
    });
    expect(await failureOf(work)).toBeInstanceOf(IllegalStateError);
  });

  it('throws at the end of a nested one that is inside', async () => {
    await start()
      .begin(async (connection) => {
        await connection.execute(insert('before'));
        const nested = connection.beginNested(async () => {
          await connection.execute(insert('inside'));
          await behind(connection, 'ROLLBACK');
        });
        expect(await failureOf(nested)).toBeInstanceOf(IllegalStateError);
      })
      .catch(() => undefined);
    expect(await items.names()).toEqual([]);
  });

  it('refuses statements until it is rolled back; then the connection works again', async () => {
    const connection = await start().connect();
    await connection.execute(insert('before'));
    await behind(connection, 'ROLLBACK');
    for (const attempt of ['first', 'second'])
      expect(await failureOf(connection.execute(insert(attempt)))).toBeInstanceOf(IllegalStateError);
    expect(await failureOf(connection.commit())).toBeInstanceOf(IllegalStateError);
    await connection.rollback();
    await connection.execute(insert('after'));
    await connection.commit();
    await connection.close();
    expect(await items.names()).toEqual(['after']);
  });

  it('runs afterCompletion hooks alone: what it wrote may be stored', async () => {
    const ran: string[] = [];
    await start()
      .transaction(async () => {
        await engine.execute(insert('before'));
        engine.afterCommit(() => ran.push('commit'));
        engine.afterRollback(() => ran.push('rollback'));
        engine.afterCompletion(() => ran.push('completion'));
        await behind(engine.currentConnection(), 'COMMIT');
      })
      .catch(() => undefined);
    expect(ran).toEqual(['completion']);
  });
});

describe('a BEGIN that the raw client sent', () => {
  it('is refused as a part of what comes next, in a transaction and in AUTOCOMMIT', async () => {
    const connection = await start().connect();
    await connection.executionOptions({ isolationLevel: 'AUTOCOMMIT' });
    await behind(connection, 'BEGIN');
    expect(await failureOf(connection.execute(insert('alone')))).toBeInstanceOf(IllegalStateError);
    await connection.executionOptions({ isolationLevel: 'READ COMMITTED' });
    expect(await failureOf(connection.execute(insert('inside')))).toBeInstanceOf(IllegalStateError);
    await connection.rollback();
    await connection.close();
    expect(await items.names()).toEqual([]);
  });
});
