import {
  CommitLostError,
  CommitOutcomeUnknownError,
  sql,
  text,
  UniqueViolationError,
  type AsyncEngine,
  type AsyncEngineOptions,
} from 'nest-async-engine/engine';
import type { Client } from 'pg';
import { LogLines } from '../../support/doubles/log-lines.js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { failureOf, insert, MemoryLogger, ItemDatabase } from '../../support/items.js';
import { eventually } from '../../support/process/barrier.js';
import { startFaultyProxy, type FaultyProxy } from '../../support/server/faulty-proxy.js';
import { isCommit } from '../../support/server/wire-fault.js';

type Speaker = 'client' | 'server';

let items: ItemDatabase;
let proxy: FaultyProxy;
let engine: AsyncEngine;
let resolved: { transactionId: string | undefined; outcome: string }[];

/** Cuts every connection when the first COMMIT passes: before the server has heard it, or behind its answer. */
async function cutAt<T>(from: Speaker, work: () => Promise<T>): Promise<T> {
  const held = proxy.holdWhen(isCommit(from));
  const running = work();
  running.catch(() => undefined);
  await held;
  proxy.cut();
  return await running;
}

function open(options: AsyncEngineOptions = {}): AsyncEngine {
  const made = items.engine({ commitOutcome: 'resolve', logger: new MemoryLogger(), ...options }, proxy.url);
  made.on('commitResolved', ({ transactionId, outcome }) => void resolved.push({ transactionId, outcome }));
  return made;
}

const questions = (): number =>
  proxy.statements.filter((each) => each.includes('xact_id_if_assigned')).length;

beforeAll(async () => {
  items = await ItemDatabase.open('commit_outcome');
  proxy = await startFaultyProxy(items.database.url);
  // A row named 'slow' makes its COMMIT take a minute.
  await items.database.query(
    `CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
     CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED
     FOR EACH ROW WHEN (NEW.name = 'slow') EXECUTE FUNCTION be_slow()`,
  );
});
beforeEach(() => {
  resolved = [];
  proxy.reset();
  engine = open();
});
afterEach(() => items.expectClean());
afterAll(async () => {
  await proxy.close();
  await items.close();
});

describe('a COMMIT that is cut behind the server’s answer', () => {
  it('has the host of its server in the event and in the line of the log', async () => {
    const lines = new LogLines();
    const hosts: (string | undefined)[] = [];
    const logged = open({ logger: lines, echo: true });
    logged.on('commitResolved', ({ host }) => void hosts.push(host));
    await cutAt('server', () => logged.transaction(() => logged.execute(insert('h'))));
    const { host } = new URL(proxy.url);
    expect(hosts).toEqual([host]);
    const line = lines.lines.find(({ message }) => /COMMIT of \d+: committed/.test(message));
    expect(line?.fields).toMatchObject({ event: 'commit', outcome: 'committed', host });
  });

  it('has succeeded: the call resolves, its hooks run, and the connection works on', async () => {
    const hooks: string[] = [];
    const value = await cutAt('server', () =>
      engine.transaction(async () => {
        engine.afterCommit(() => hooks.push('commit'));
        engine.afterRollback(() => hooks.push('rollback'));
        await engine.execute(insert('a'));
        return 'done';
      }),
    );
    expect([value, hooks, await items.names()]).toEqual(['done', ['commit'], ['a']]);
    expect(resolved).toEqual([{ transactionId: expect.stringMatching(/^\d+$/), outcome: 'committed' }]);
  });

  it('of a handle: the same', async () => {
    await using connection = await engine.connect();
    await connection.execute(insert('a'));
    await cutAt('server', () => connection.commit());
    expect(connection.inTransaction()).toBe(false);
    await connection.execute(insert('b'));
    await connection.commit();
    expect(await items.names()).toEqual(['a', 'b']);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['a savepoint', () => engine.transaction(() => engine.execute(insert('a')))],
    [
      'a savepoint after one that was undone',
      async () => {
        await failureOf(engine.transaction(() => engine.execute(text('SELECT 1 / 0'))));
        await engine.transaction(() => engine.execute(insert('a')));
      },
    ],
    [
      'reads, and a write behind them',
      async () => {
        await engine.execute(text('SELECT 1')).one();
        await engine.execute(insert('a'));
      },
    ],
    [
      'a list of parameters in several pages',
      async () => {
        const names = ['a', ...Array.from({ length: 24 }, (_, index) => `a${index}`)];
        await engine.execute(
          text('INSERT INTO item (name) VALUES (:name)'),
          names.map((name) => ({ name })),
          {
            insertmanyvaluesPageSize: 10,
          },
        );
        await engine.execute(text("DELETE FROM item WHERE name <> 'a'"));
      },
    ],
    [
      'a stream of what it writes',
      async () => {
        for await (const row of engine.stream(text("INSERT INTO item (name) VALUES ('a') RETURNING name")))
          expect(row).toEqual({ name: 'a' });
      },
    ],
    [
      'a script of the lent client',
      () =>
        engine.currentConnection().run(async (client) => {
          await client.query(
            "INSERT INTO item (name) VALUES ('b'); DELETE FROM item; INSERT INTO item (name) VALUES ('a')",
          );
        }),
    ],
    [
      'a write of the raw client',
      async () => {
        await engine.execute(text('SELECT 1'));
        const { driverConnection } = await engine.currentConnection().getRawConnection();
        await (driverConnection as Client).query("INSERT INTO item (name) VALUES ('a')");
        await engine.execute(text('SELECT 1'));
      },
    ],
    [
      'a function that writes',
      async () => {
        await engine.execute(
          text("WITH made AS (INSERT INTO item (name) VALUES ('a') RETURNING name) SELECT name FROM made"),
        );
      },
    ],
    ['a write of a hook', async () => engine.beforeCommit(() => engine.execute(insert('a')))],
  ])('is known where the transaction had %s', async (_, work) => {
    await cutAt('server', () => engine.transaction(work));
    expect(await items.names()).toEqual(['a']);
    expect(resolved).toMatchObject([{ outcome: 'committed' }]);
  });
});

describe('a COMMIT that is cut before the server has heard it', () => {
  it('has stored nothing: CommitLostError, and the hooks of a rollback', async () => {
    const hooks: string[] = [];
    const failure = await failureOf(
      cutAt('client', () =>
        engine.transaction(async () => {
          engine.afterCommit(() => hooks.push('commit'));
          engine.afterRollback(() => hooks.push('rollback'));
          await engine.execute(insert('a'));
        }),
      ),
    );
    expect(failure).toBeInstanceOf(CommitLostError);
    expect(failure).toMatchObject({ outcome: 'aborted', transactionId: expect.stringMatching(/^\d+$/) });
    expect((failure as Error).cause).toMatchObject({ connectionInvalidated: true });
    expect([hooks, await items.names()]).toEqual([['rollback'], []]);
  });

  it('is run again by retry, and stored once', async () => {
    let runs = 0;
    const work = (): Promise<unknown> => {
      runs += 1;
      return engine.execute(insert('a'));
    };
    await cutAt('client', () => engine.transaction(work, { retry: 2 }));
    expect([runs, await items.names()]).toEqual([2, ['a']]);
  });

  it('ends the old session, which may not have heard that its client has gone', async () => {
    const other = open({ poolSize: 2, commitTimeout: 400 });
    const held = proxy.holdWhen(isCommit('client'));
    const running = failureOf(other.transaction(() => other.execute(insert('a'))));
    await held;
    // Nothing is cut: the deadline of COMMIT gives up, and the server's side stays as it is.
    expect(await running).toBeInstanceOf(CommitLostError);
    proxy.cut();
  });

  it('without a write needs no question: nothing could be stored', async () => {
    const work = async (): Promise<void> => {
      await engine.execute(text('SELECT name FROM item'));
    };
    const failure = await failureOf(cutAt('client', () => engine.transaction(work)));
    expect(failure).toBeInstanceOf(CommitLostError);
    expect(failure).toMatchObject({ transactionId: undefined });
    expect(questions()).toBe(0);
  });

  it('with a write of no rows the same', async () => {
    const work = () => engine.execute(text("DELETE FROM item WHERE name = 'none'"));
    expect(await failureOf(cutAt('server', () => engine.transaction(work)))).toBeInstanceOf(CommitLostError);
  });

  it.each(["NOTIFY news, 'x'", "SELECT pg_notify('news', 'x')"])(
    'with nothing but %s stays unknown: that has no id before COMMIT',
    async (statement) => {
      const failure = await failureOf(
        cutAt('server', () => engine.transaction(() => engine.execute(text(statement)))),
      );
      expect(failure).toBeInstanceOf(CommitOutcomeUnknownError);
      expect(failure).toMatchObject({ transactionId: undefined });
    },
  );
});

it('a COMMIT that is cut behind a write of the raw client alone is not called lost', async () => {
  const work = async (): Promise<void> => {
    await engine.execute(text('SELECT 1'));
    const { driverConnection } = await engine.currentConnection().getRawConnection();
    await (driverConnection as Client).query("INSERT INTO item (name) VALUES ('a')");
  };
  const failure = await failureOf(cutAt('server', () => engine.transaction(work)));
  expect(failure).toBeInstanceOf(CommitOutcomeUnknownError);
  expect(await items.names()).toEqual(['a']);
});

it('a COMMIT that is cut while it runs is ended, so that its outcome is known', async () => {
  const running = failureOf(engine.transaction(() => engine.execute(insert('slow'))));
  await eventually(async () =>
    expect(await items.database.sessions()).toMatchObject([{ wait_event_type: 'Timeout' }]),
  );
  proxy.cut();
  expect(await running).toBeInstanceOf(CommitLostError);
  expect(await items.names()).toEqual([]);
});

it('a COMMIT that the server refuses is that error, and nobody is asked', async () => {
  await items.database.query("INSERT INTO item VALUES ('first', 1)");
  const work = () => engine.execute(text("INSERT INTO item VALUES ('second', 1)"));
  expect(await failureOf(engine.transaction(work))).toBeInstanceOf(UniqueViolationError);
  expect(resolved).toEqual([]);
});

describe('the question for the id', () => {
  async function cost(options: AsyncEngineOptions): Promise<{ roundTrips: number; questions: number }> {
    const other = open(options);
    const work = (name: string) => async (): Promise<void> => {
      await other.execute(text('SELECT name FROM item')).all();
      await other.execute(sql`INSERT INTO item (name) VALUES (${name})`);
      await other.transaction(() => other.execute(sql`UPDATE item SET place = NULL WHERE name = ${name}`));
      await other.execute(sql`DELETE FROM item WHERE name = ${name}`);
    };
    await other.transaction(work('warm'));
    proxy.reset();
    await other.transaction(work('counted'));
    return { roundTrips: proxy.roundTrips, questions: questions() };
  }

  it('costs no round trip, and is asked until it is answered', async () => {
    const without = await cost({ commitOutcome: 'report' });
    expect(await cost({})).toEqual({ roundTrips: without.roundTrips, questions: 1 });
    expect(without).toEqual({ roundTrips: 5, questions: 0 });
  });

  it('is not asked of statements that commit themselves', async () => {
    await engine.execute(insert('a'));
    const autocommit = open({ isolationLevel: 'AUTOCOMMIT' });
    await autocommit.begin((connection) => connection.execute(insert('b')));
    expect(questions()).toBe(0);
  });

  it('is in the URL, too', async () => {
    const url = `${proxy.url}?commitOutcome=resolve`;
    const other = items.engine({}, url);
    await cutAt('server', () => other.transaction(() => other.execute(insert('a'))));
    expect(await items.names()).toEqual(['a']);
    expect(() => items.engine({}, `${proxy.url}?commitOutcome=maybe`)).toThrow('resolve or report');
  });

  it('is left out, with one warning, where the server can’t say', async () => {
    await items.database.query(
      'REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC; CREATE ROLE plain LOGIN PASSWORD $$plain$$; GRANT ALL ON item TO plain',
    );
    const logger = new MemoryLogger();
    const url = new URL(proxy.url);
    url.username = url.password = 'plain';
    try {
      const other = items.engine({ commitOutcome: 'resolve', poolSize: 2, logger }, url.href);
      await Promise.all([1, 2].map((n) => other.transaction(() => other.execute(insert(`n${n}`)))));
      const work = () => other.transaction(() => other.execute(insert('a')));
      expect(await failureOf(cutAt('server', work))).toBeInstanceOf(CommitOutcomeUnknownError);
      expect(logger.warnings).toEqual([expect.stringContaining("commitOutcome: 'resolve' has no effect")]);
      await other.aclose();
    } finally {
      await items.database.query(
        'GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC; DROP OWNED BY plain; DROP ROLE plain',
      );
    }
  });
});
