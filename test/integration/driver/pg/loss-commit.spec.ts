import type { EventEmitter } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CommitOutcomeUnknownError, ConnectionLostError, text } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { eventually } from '../../../support/process/barrier.js';
import { failureOf, insert, MemoryLogger, ItemDatabase } from '../../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('loss_commit');
  // A row named 'slow' makes its COMMIT take a minute.
  await items.database.query(
    `CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
     CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED
     FOR EACH ROW WHEN (NEW.name = 'slow') EXECUTE FUNCTION be_slow()`,
  );
});
beforeEach(() => {
  engine = items.engine({ logger: new MemoryLogger() });
});
afterEach(async () => {
  await engine.execute(insert('next borrower'));
  expect(engine.pool.checkedOut()).toBe(0);
  expect(await items.names()).toEqual(['next borrower']);
  await items.expectClean();
});
afterAll(() => items.close());

/** Ends the engine's only session and waits until the server has done so. */
async function kill(): Promise<void> {
  const [session] = await items.database.sessions();
  await items.database.query('SELECT pg_terminate_backend($1, 5000)', [session?.pid]);
}

/** The same, and waits until the driver has seen it. */
async function killNoticed(): Promise<void> {
  const client = engine.currentConnection().pooled?.driverConnection as EventEmitter;
  const ended = new Promise((resolve) => client.once('end', resolve));
  await kill();
  await ended;
}

/** Waits until the session sleeps on the server, then ends it. */
async function killAsleep(): Promise<void> {
  await eventually(async () =>
    expect(await items.database.sessions()).toMatchObject([{ wait_event_type: 'Timeout' }]),
  );
  await kill();
}

describe('a session that is killed', () => {
  it('before COMMIT, and the driver has seen it: COMMIT is not sent, so that the outcome is known', async () => {
    const work = engine.transaction(async () => {
      await engine.execute(insert('lost'));
      await killNoticed();
    });
    const failure = await failureOf(work);
    expect(failure).toBeInstanceOf(ConnectionLostError);
    expect(failure).not.toBeInstanceOf(CommitOutcomeUnknownError);
  });

  it('before COMMIT of begin(work): the same', async () => {
    const work = engine.begin(async (connection) => {
      await connection.execute(insert('lost'));
      const client = connection.pooled?.driverConnection as EventEmitter;
      const ended = new Promise((resolve) => client.once('end', resolve));
      await kill();
      await ended;
    });
    expect(await failureOf(work)).toBeInstanceOf(ConnectionLostError);
  });

  it('before COMMIT, behind a released savepoint: the same', async () => {
    const work = engine.transaction(async () => {
      await engine.transaction(() => engine.execute(insert('lost')));
      await killNoticed();
    });
    expect(await failureOf(work)).toBeInstanceOf(ConnectionLostError);
  });

  it('during COMMIT: nobody knows the outcome', async () => {
    const failure = failureOf(engine.transaction(() => engine.execute(insert('slow'))));
    await killAsleep();
    expect(await failure).toBeInstanceOf(CommitOutcomeUnknownError);
    expect(((await failure) as Error).cause).toMatchObject({
      sqlState: '57P01',
      connectionInvalidated: true,
    });
  });

  it('during COMMIT of a handle: the same, and the handle is free', async () => {
    await engine.connect(async (connection) => {
      await connection.execute(insert('slow'));
      const failure = failureOf(connection.commit());
      await killAsleep();
      expect(await failure).toBeInstanceOf(CommitOutcomeUnknownError);
      expect(connection.inTransaction()).toBe(false);
      expect(await connection.scalar(text('SELECT 1'))).toBe(1);
    });
  });

  it('during COMMIT of a scope: the same', async () => {
    const failure = failureOf(
      engine.scope(async () => {
        await engine.currentConnection().execute(insert('slow'));
      }),
    );
    await killAsleep();
    expect(await failure).toBeInstanceOf(CommitOutcomeUnknownError);
  });

  it('before BEGIN has left: the first statement fails, and the work is not half done', async () => {
    await engine.execute(text('SELECT 1'));
    const work = engine.connect(async (connection) => {
      const transaction = await connection.begin();
      const client = connection.pooled?.driverConnection as EventEmitter;
      const ended = new Promise((resolve) => client.once('end', resolve));
      await kill();
      await ended;
      await connection.execute(insert('lost'));
      await transaction.commit();
    });
    expect(await failureOf(work)).toBeInstanceOf(ConnectionLostError);
  });

  it('during a statement in a savepoint: both are lost', async () => {
    let inner: unknown;
    const outer = failureOf(
      engine.transaction(async () => {
        await engine.execute(insert('outer'));
        inner = await failureOf(
          engine.transaction(async () => {
            await engine.execute(insert('inner'));
            await engine.execute(text('SELECT pg_sleep(60)'));
          }),
        );
        throw inner;
      }),
    );
    await killAsleep();
    expect(await outer).toBeInstanceOf(ConnectionLostError);
    expect(inner).toBe(await outer);
  });

  it('while a stream in a savepoint is read: the stream fails, and both are lost', async () => {
    const work = engine.transaction(async () => {
      await engine.execute(insert('outer'));
      await engine.transaction(async () => {
        const rows = engine.stream<{ n: number }>(
          text('SELECT generate_series(1, 100000)::int4 AS n'),
          undefined,
          { yieldPer: 10 },
        );
        for await (const { n } of rows) if (n === 5) await kill();
      });
    });
    expect(await failureOf(work)).toBeInstanceOf(ConnectionLostError);
  });
});
