import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  IntegrityError,
  text,
  TransactionEndedError,
  TransactionTimeoutError,
  UnexpectedRollbackError,
  UniqueViolationError,
} from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { startFaultyProxy } from '../../support/server/faulty-proxy.js';
import { Latch } from '../../support/process/barrier.js';
import { failureOf, insert, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('transaction_end');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const inPlace = (name: string, place: number) =>
  text(`INSERT INTO item (name, place) VALUES ('${name}', ${place})`);

describe('an honest COMMIT', () => {
  it('throws the swallowed error as the cause, and nothing is stored', async () => {
    engine = items.engine();
    let swallowed: unknown;
    const failure = await failureOf(
      engine.transaction(async () => {
        await engine.execute(insert('one'));
        swallowed = await failureOf(engine.execute(insert('one')));
      }),
    );
    expect(failure).toBeInstanceOf(UnexpectedRollbackError);
    expect((failure as Error).cause).toBe(swallowed);
    expect(await items.names()).toEqual([]);
  });

  it('names the first of several failed statements', async () => {
    engine = items.engine();
    let first: unknown;
    const failure = await failureOf(
      engine.begin(async (connection) => {
        await connection.execute(insert('one'));
        first = await failureOf(connection.execute(insert('one')));
        await failureOf(connection.execute(text('SELECT 1')));
      }),
    );
    expect((failure as Error).cause).toBe(first);
    expect((first as Error).constructor).toBe(UniqueViolationError);
  });

  it("gives a deferred constraint's own error and a clean connection", async () => {
    engine = items.engine();
    const failure = await failureOf(
      engine.transaction(async () => {
        await engine.execute(inPlace('one', 1));
        await engine.execute(inPlace('two', 1));
      }),
    );
    expect(failure).toBeInstanceOf(UniqueViolationError);
    expect(engine.pool.checkedIn()).toBe(1);
    await engine.transaction(() => engine.execute(inPlace('three', 1)));
    expect(await items.names()).toEqual(['three']);
  });

  it('leaves a handle free to begin again after a deferred constraint', async () => {
    engine = items.engine();
    await using connection = await engine.connect();
    const transaction = await connection.begin();
    await connection.execute(inPlace('one', 1));
    await connection.execute(inPlace('two', 1));
    expect(await failureOf(transaction.commit())).toBeInstanceOf(IntegrityError);
    expect(transaction.state).toBe('rolled-back');
    await connection.execute(insert('again'));
    await connection.commit();
    expect(await items.names()).toEqual(['again']);
  });
});

describe('the end of a transaction', () => {
  const forms = ['await using', 'callback', 'explicit close'] as const;
  const ends = ['success', 'throw', 'abort'] as const;
  for (const form of forms) {
    for (const end of ends) {
      it(`${form}: released and settled on ${end}`, async () => {
        engine = items.engine();
        const controller = new AbortController();
        const work = async (
          run: (sql: string, signal?: AbortSignal) => PromiseLike<unknown>,
        ): Promise<void> => {
          await run(`INSERT INTO item (name) VALUES ('one')`);
          if (end === 'throw') throw new Error('throw');
          if (end === 'success') return;
          const slow = run('SELECT pg_sleep(30)', controller.signal);
          controller.abort();
          await slow;
        };
        const outcome = runForm(form, work).then(
          () => 'success',
          () => 'failure',
        );
        expect(await outcome).toBe(end === 'success' ? 'success' : 'failure');
        expect(await items.names()).toEqual(end === 'success' ? ['one'] : []);
      });
    }
  }

  async function runForm(
    form: (typeof forms)[number],
    work: (run: (sql: string, signal?: AbortSignal) => PromiseLike<unknown>) => Promise<void>,
  ): Promise<void> {
    if (form === 'callback') {
      return await engine.begin((connection) =>
        work((sql, signal) => connection.execute(text(sql), undefined, { signal })),
      );
    }
    if (form === 'await using') {
      await using connection = await engine.connect();
      await using transaction = await connection.begin();
      await work((sql, signal) => connection.execute(text(sql), undefined, { signal }));
      return await transaction.commit();
    }
    const connection = await engine.connect();
    const transaction = await connection.begin();
    try {
      await work((sql, signal) => connection.execute(text(sql), undefined, { signal }));
      await transaction.commit();
    } finally {
      await transaction.close();
      await connection.close();
    }
  }

  it('commits what noRollbackFor lets pass, and throws it', async () => {
    class Redirect extends Error {}
    engine = items.engine();
    const work = async (error: Error): Promise<void> => {
      await engine.execute(insert(error.message));
      throw error;
    };
    const options = { noRollbackFor: [Redirect] };
    await expect(engine.transaction(() => work(new Redirect('kept')), options)).rejects.toBeInstanceOf(
      Redirect,
    );
    await expect(engine.transaction(() => work(new Error('undone')), options)).rejects.toThrow('undone');
    expect(await items.names()).toEqual(['kept']);
  });

  it('says so when what noRollbackFor lets pass can’t be committed', async () => {
    engine = items.engine();
    const failure = await failureOf(
      engine.transaction(
        async () => {
          await engine.execute(insert('one'));
          await engine.execute(insert('one'));
        },
        { noRollbackFor: [UniqueViolationError] },
      ),
    );
    expect(failure).toBeInstanceOf(UnexpectedRollbackError);
    expect((failure as Error).cause).toBeInstanceOf(UniqueViolationError);
  });

  it('rolls back only for what rollbackFor names', async () => {
    class Fatal extends Error {}
    engine = items.engine();
    const work = async (error: Error): Promise<void> => {
      await engine.execute(insert(error.message));
      throw error;
    };
    const options = { rollbackFor: [Fatal, (error: unknown) => String(error).includes('by question')] };
    await failureOf(engine.transaction(() => work(new Fatal('fatal')), options));
    await failureOf(engine.transaction(() => work(new Error('by question')), options));
    await failureOf(engine.transaction(() => work(new Error('mild')), options));
    expect(await items.names()).toEqual(['mild']);
  });

  it('is a rollback without an error after setRollbackOnly', async () => {
    engine = items.engine();
    const answer = await engine.transaction(async () => {
      await engine.execute(insert('undone'));
      engine.currentConnection().getTransaction()?.setRollbackOnly('a dry run');
      return 'answer';
    });
    expect(answer).toBe('answer');
    expect(await items.names()).toEqual([]);
  });

  it('comes once, however often and however many ask for it', async () => {
    engine = items.engine();
    await using connection = await engine.connect();
    const transaction = await connection.begin();
    await connection.execute(insert('one'));
    const outcomes = await Promise.allSettled([transaction.commit(), transaction.commit()]);
    await transaction.rollback();
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(transaction.state).toBe('committed');
    expect(await items.names()).toEqual(['one']);
  });

  it('is what a commit() says that a rollback() has overtaken', async () => {
    engine = items.engine();
    await using connection = await engine.connect();
    const transaction = await connection.begin();
    await connection.execute(insert('one'));
    const [rollback, commit] = await Promise.allSettled([transaction.rollback(), transaction.commit()]);
    expect([rollback.status, commit.status]).toEqual(['fulfilled', 'rejected']);
    expect(await items.names()).toEqual([]);
  });

  it('refuses a statement that comes while COMMIT is on its way', async () => {
    await using proxy = await startFaultyProxy(items.database.url);
    engine = items.engine({}, proxy.url);
    await using connection = await engine.connect();
    const transaction = await connection.begin();
    await connection.execute(insert('one'));
    const held = proxy.holdWhen(({ from, text: sql }) => from === 'client' && sql === 'COMMIT');
    const commit = transaction.commit();
    await held;
    expect(await failureOf(connection.execute(insert('behind COMMIT')))).toBeInstanceOf(
      TransactionEndedError,
    );
    proxy.resume();
    await commit;
    expect(await items.names()).toEqual(['one']);
    await connection.close();
    await engine.dispose();
  });

  it('at its timeout undoes everything at once, whatever the work waits for', async () => {
    engine = items.engine();
    const hasWritten = new Latch();
    const release = new Latch();
    const outcome = failureOf(
      engine.transaction(
        async () => {
          await engine.execute(insert('late'));
          hasWritten.open();
          await release.opened;
        },
        { timeout: 100 },
      ),
    );
    await hasWritten.opened;
    // Waits for the key, which is free before the work has ended.
    await items.database.query(`INSERT INTO item (name) VALUES ('late')`);
    release.open();
    expect(await outcome).toBeInstanceOf(TransactionTimeoutError);
  });

  it('at its timeout cancels the statement that runs, and nothing of a handle goes on', async () => {
    engine = items.engine();
    await using connection = await engine.connect();
    const transaction = await connection.begin({ timeout: 100 });
    await connection.execute(insert('undone'));
    const running = await failureOf(connection.execute(text('SELECT pg_sleep(30)')));
    expect(running).toBeInstanceOf(TransactionTimeoutError);
    expect(await failureOf(connection.execute(insert('behind')))).toBe(running);
    expect(await failureOf(transaction.commit())).toBe(running);
    await connection.execute(insert('afterwards'));
    await connection.commit();
    expect(await items.names()).toEqual(['afterwards']);
  });
});
