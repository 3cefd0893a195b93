import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  AsyncConnection,
  IllegalStateError,
  NoActiveScopeError,
  ScopeEndedError,
  sql,
  TransactionEndedError,
} from 'nest-async-engine/engine';
import type { AsyncEngine, Scope } from 'nest-async-engine/engine';
import { Barrier } from '../../support/process/barrier.js';
import { failureOf, insert, ItemDatabase, outcomeOf } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('scoped');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const XID = sql`SELECT pg_current_xact_id()::text`;

/** The names of an object's class and the classes above it. */
function membersOf(prototype: object): string[] {
  const above = Object.getPrototypeOf(prototype) as object;
  const own = Object.getOwnPropertyNames(prototype);
  return above === Object.prototype ? own : [...own, ...membersOf(above)];
}

describe('engine.scopedConnection()', () => {
  it('is at each use the connection of the scope around the use, for scopes side by side', async () => {
    engine = items.engine({ poolSize: 2 });
    const connection = engine.scopedConnection();
    const both = new Barrier(2);
    const work = (name: string) =>
      engine.scope(async () => {
        await connection.execute(insert(name));
        await both.arrive();
        expect(await connection.scalar(XID)).toBe(await engine.currentConnection().scalar(XID));
        expect(connection.getTransaction()).toBe(engine.currentConnection().getTransaction());
        if (name === 'bad') throw new Error('on purpose');
      });
    await Promise.all([work('good'), failureOf(work('bad'))]);
    expect(await items.names()).toEqual(['good']);
  });

  it('runs blocks, savepoints and streams of the scope', async () => {
    engine = items.engine({ poolSize: 1 });
    const connection = engine.scopedConnection();
    await engine.scope(
      async () => {
        await connection.begin(async () => {
          await failureOf(
            connection.beginNested(async () => {
              await connection.execute(insert('undone'));
              throw new Error('on purpose');
            }),
          );
          await connection.execute(insert('kept'));
        });
        const numbers = await connection
          .stream(sql<{ n: number }>`SELECT 1 AS n`)
          .scalars<number>()
          .all();
        expect(numbers).toEqual([1]);
      },
      { commit: 'explicit' },
    );
    expect(await items.names()).toEqual(['kept']);
  });

  it('refuses outside of a scope and after its end', async () => {
    engine = items.engine();
    const connection = engine.scopedConnection('Ask in a scope.');
    const outside = await failureOf(connection.execute(insert('outside')));
    expect(outside).toBeInstanceOf(NoActiveScopeError);
    expect(outside).toHaveProperty('message', expect.stringMatching(/no scope\. Ask in a scope\.$/));
    let scope: Scope | undefined;
    await engine.scope(() => Promise.resolve((scope = engine.currentScope())));
    const late = await failureOf(scope?.run(() => connection.execute(insert('late'))) ?? Promise.resolve());
    expect(late).toBeInstanceOf(ScopeEndedError);
  });

  /** What each public member gives, of a connection in an open transaction. */
  const QUESTIONS: Readonly<Record<string, (connection: AsyncConnection) => unknown>> = {
    engine: ({ engine: own }) => own,
    state: ({ state }) => state,
    dialect: ({ dialect }) => dialect,
    closed: ({ closed }) => closed,
    invalidated: ({ invalidated }) => invalidated,
    info: ({ info }) => info,
    pooled: ({ pooled }) => pooled,
    core: ({ core }) => core,
    getExecutionOptions: (connection) => connection.getExecutionOptions(),
    getRawConnection: (connection) => connection.getRawConnection(),
    run: (connection) =>
      connection.run(async (client) => (await client.query('SELECT pg_backend_pid() AS pid')).rows),
    getIsolationLevel: (connection) => connection.getIsolationLevel(),
    defaultIsolationLevel: (connection) => connection.defaultIsolationLevel,
    inTransaction: (connection) => connection.inTransaction(),
    inNestedTransaction: (connection) => connection.inNestedTransaction(),
    getTransaction: (connection) => connection.getTransaction(),
    getNestedTransaction: (connection) => connection.getNestedTransaction(),
    toJSON: (connection) => connection.toJSON(),
    execute: (connection) => connection.execute(XID).all(),
    scalar: (connection) => connection.scalar(XID),
    scalars: (connection) => connection.scalars(XID).all(),
    stream: (connection) => connection.stream(XID).all(),
    streamScalars: (connection) => connection.streamScalars(XID).all(),
    execDriverSql: (connection) => connection.execDriverSql('SELECT pg_backend_pid()').all(),
    copyFrom: (connection) => connection.copyFrom('COPY item FROM STDIN', []),
    copyTo: (connection) => connection.copyTo('COPY (SELECT pg_backend_pid()) TO STDOUT').toArray(),
    batch: async (connection) => {
      const [first] = await connection.batch([XID]);
      return first.all();
    },
    begin: (connection) => connection.begin().catch((error: Error) => error.message),
    beginNested: (connection) => connection.beginNested((nested) => Promise.resolve(nested.parent)),
    on: (connection) => listenersHeard(connection, 'on'),
    once: (connection) => listenersHeard(connection, 'once'),
    start: async (connection) => (await connection.start()).pooled,
    cancel: (connection) => connection.cancel(),
    executionOptions: async (connection) =>
      (await connection.executionOptions({ timeout: 5_000 })).getExecutionOptions(),
  };
  // Each ends what the others ask about, and comes to the same core.
  const ENDS = ['off', 'commit', 'rollback', 'close', 'aclose', 'invalidate', 'constructor'];

  async function listenersHeard(connection: AsyncConnection, add: 'on' | 'once'): Promise<number> {
    let heard = 0;
    const listener = (): void => void (heard += 1);
    connection[add]('afterExecute', listener);
    await engine.currentConnection().execute(XID);
    await connection.execute(XID);
    if (add === 'on') connection.off('afterExecute', listener);
    await connection.execute(XID);
    return heard;
  }

  it('answers every public member as the connection of the scope does', async () => {
    engine = items.engine({ poolSize: 1 });
    const handle = engine.scopedConnection();
    await engine.scope(async () => {
      const own = engine.currentConnection();
      await own.execute(XID);
      for (const [name, ask] of Object.entries(QUESTIONS))
        expect([name, await ask(handle)]).toEqual([name, await ask(own)]);
      expect(handle.getTransaction()).toBe(own.getTransaction());
      expect(handle.core).toBe(own.core);
    });
    const asked = [...Object.keys(QUESTIONS), ...ENDS];
    expect(membersOf(AsyncConnection.prototype).filter((name) => !asked.includes(name))).toEqual([]);
  });

  it.each(['commit', 'rollback', 'close', 'aclose', 'invalidate'] as const)(
    'ends by %s() what the connection of the scope has',
    async (end) => {
      engine = items.engine({ poolSize: 1 });
      const handle = engine.scopedConnection();
      await engine.scope(
        async () => {
          const own = engine.currentConnection();
          await own.execute(XID);
          await handle[end]();
          expect(own.getTransaction()?.isActive ?? false).toBe(false);
          expect(handle.state).toBe(own.state);
          await own.rollback();
        },
        { commit: 'explicit' },
      );
    },
  );
});

describe('engine.scopedConnection() in a transaction that began before its first use', () => {
  const ways: Record<string, (work: () => Promise<void>) => Promise<void>> = {
    'a root in a scope': (work) => engine.scope(() => engine.transaction(work)),
    'a root outside of scopes': (work) => engine.transaction(work),
    'a root in a scope of an engine made by executionOptions()': (work) =>
      engine.executionOptions({ timeout: 10_000 }).scope(() => engine.transaction(work)),
    'a nested one': (work) => engine.transaction(() => engine.transaction(work)),
    'requires-new in a root': (work) =>
      engine.transaction(() => engine.transaction(work, { propagation: 'requires-new' })),
    'within()': (work) => engine.begin((connection) => connection.getTransaction()?.within(work) ?? work()),
  };
  for (const [name, run] of Object.entries(ways)) {
    it(`writes in it, is stored and undone with it: ${name}`, async () => {
      engine = items.engine({ poolSize: 2, maxOverflow: 0 });
      const handle = engine.scopedConnection();
      for (const isKept of [false, true]) {
        const work = run(async () => {
          await handle.execute(insert('by the handle'));
          await engine.execute(insert('by the engine'));
          expect(await handle.scalar(XID)).toBe(await engine.scalar(XID));
          if (!isKept) throw new RangeError('on purpose');
        });
        expect(await outcomeOf(work)).toBe(isKept ? undefined : RangeError);
        expect((await items.names()).toSorted()).toEqual(isKept ? ['by the engine', 'by the handle'] : []);
      }
    });
  }

  it('keeps what requires-new has stored, and undoes the unit around it', async () => {
    engine = items.engine({ poolSize: 2 });
    const handle = engine.scopedConnection();
    const unit = engine.scope(async () => {
      await handle.execute(insert('of the unit'));
      await engine.transaction(() => handle.execute(insert('audit')), { propagation: 'requires-new' });
      throw new Error('on purpose');
    });
    await failureOf(unit);
    expect(await items.names()).toEqual(['audit']);
  });

  it('is refused once that has ended', async () => {
    engine = items.engine();
    const handle = engine.scopedConnection();
    const late = await engine.scope(async () => {
      const over = new Barrier(2);
      let left: Promise<unknown> | undefined;
      await engine.transaction(async () => {
        await handle.execute(insert('in time'));
        left = over.arrive().then(() => handle.execute(insert('late')));
      });
      const failure = failureOf(left ?? Promise.resolve());
      await over.arrive();
      return await failure;
    });
    expect(late).toBeInstanceOf(TransactionEndedError);
    expect(await items.names()).toEqual(['in time']);
  });

  it('is refused where the transaction has not what the option connection says, and nothing is stored', async () => {
    engine = items.engine();
    const handle = engine.scopedConnection();
    const work = engine.scope(
      () => engine.transaction(() => handle.execute(insert('without a tenant')), { label: 'Orders.place' }),
      { label: 'nightly', connection: { settings: { 'app.tenant': 'red' } } },
    );
    const failure = await failureOf(work);
    expect(failure).toBeInstanceOf(IllegalStateError);
    expect(String(failure)).toContain(
      'the transaction of Orders.place began before the connection of nightly was asked for',
    );
    expect(await items.names()).toEqual([]);
  });
});

describe('options of a scope that are given by a function', () => {
  it.each(['onSuccess', 'explicit'] as const)(
    'are asked for once, by the first statement, with commit: %s',
    async (commit) => {
      engine = items.engine();
      let tenant = 'unknown';
      let asked = 0;
      const connection = () => {
        asked += 1;
        return { settings: { 'app.tenant': tenant } };
      };
      const seen = await engine.scope(
        async () => {
          const handle = engine.currentConnection();
          tenant = 'red';
          await handle.scalar(sql`SELECT 1`);
          return await handle.scalar(sql`SELECT current_setting('app.tenant')`);
        },
        { commit, connection },
      );
      expect([seen, asked]).toEqual(['red', 1]);
    },
  );

  it('are asked for by a statement of the engine, too', async () => {
    engine = items.engine();
    const connection = () => ({ settings: { 'app.tenant': 'red' } });
    const seen = await engine.scope(
      async () => {
        engine.currentConnection();
        return await engine.scalar(sql`SELECT current_setting('app.tenant')`);
      },
      { connection },
    );
    expect(seen).toBe('red');
  });

  it('that cannot be given fail the statement: nothing runs without them', async () => {
    engine = items.engine();
    const connection = () => {
      throw new Error('nobody is logged in');
    };
    const work = engine.scope(
      async () => {
        await failureOf(engine.currentConnection().execute(insert('first')));
        await engine.execute(insert('second'));
      },
      { connection },
    );
    expect(String(await failureOf(work))).toContain('nobody is logged in');
    expect(await items.names()).toEqual([]);
  });
});
