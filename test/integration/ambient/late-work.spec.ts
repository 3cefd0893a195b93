import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  ScopeEndedError,
  text,
  TransactionEndedError,
  UnexpectedRollbackError,
} from 'nest-async-engine/engine';
import type { AsyncConnection, AsyncEngine } from 'nest-async-engine/engine';
import { Latch } from '../../support/process/barrier.js';
import { failureOf, randomTurns, insert, seededRandom, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('late');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

describe('late work', () => {
  it('of a promise that nobody awaited is refused, with the place of begin', async () => {
    engine = items.engine();
    const over = new Latch();
    const late = await engine.transaction(
      async () => {
        await engine.execute(insert('in time'));
        return { outcome: failureOf(over.opened.then(() => engine.execute(insert('late')))) };
      },
      { label: 'placeOrder' },
    );
    over.open();
    const failure = await late.outcome;
    expect(failure).toBeInstanceOf(TransactionEndedError);
    expect(String(failure)).toContain('placeOrder');
    expect(await items.names()).toEqual(['in time']);
  });

  it('of a timer is refused', async () => {
    engine = items.engine();
    const over = new Latch();
    const { fired } = await engine.transaction(async () => {
      await engine.execute(insert('in time'));
      const timer = new Promise<void>((resolve) => setTimeout(resolve, 1));
      return {
        fired: failureOf(Promise.all([timer, over.opened]).then(() => engine.execute(insert('late')))),
      };
    });
    over.open();
    expect(await fired).toBeInstanceOf(TransactionEndedError);
    expect(await items.names()).toEqual(['in time']);
  });

  it('of a nested transaction is refused in the root that goes on', async () => {
    engine = items.engine();
    await engine.transaction(async () => {
      const over = new Latch();
      const { late } = await engine.transaction(async () => {
        await engine.execute(insert('nested'));
        return { late: failureOf(over.opened.then(() => engine.execute(insert('late')))) };
      });
      over.open();
      expect(await late).toBeInstanceOf(TransactionEndedError);
      await engine.execute(insert('root'));
    });
    expect(await items.names()).toEqual(['nested', 'root']);
  });

  it('of another nested transaction, another connection or a stream is refused as well', async () => {
    engine = items.engine({ poolSize: 2 });
    const over = new Latch();
    const { late } = await engine.transaction(async () => {
      await engine.execute(insert('in time'));
      const connection = engine.currentConnection();
      const then = <T>(work: () => PromiseLike<T>): Promise<unknown> => failureOf(over.opened.then(work));
      return {
        late: Promise.all([
          then(() => engine.transaction(() => engine.execute(insert('nested')))),
          then(() => connection.execute(insert('connection'))),
          then(() => engine.stream(text('SELECT name FROM item')).all()),
        ]),
      };
    });
    over.open();
    for (const failure of await late) expect(failure).toBeInstanceOf(TransactionEndedError);
    expect(await items.names()).toEqual(['in time']);
  });

  it('a stream made inside and pulled after the end is refused', async () => {
    engine = items.engine();
    const { stream } = await engine.transaction(
      async () => {
        await engine.execute(insert('in time'));
        return { stream: engine.stream(text('SELECT name FROM item')) };
      },
      { label: 'export' },
    );
    const failure = await failureOf(stream.all());
    expect(failure).toBeInstanceOf(TransactionEndedError);
    expect(String(failure)).toContain('export');
  });

  it('a statement in flight when the body returns is awaited and stored', async () => {
    engine = items.engine();
    let insertion: PromiseLike<unknown> | undefined;
    await engine.transaction(async () => {
      await engine.execute(insert('first'));
      insertion = engine.execute(insert('not awaited'));
    });
    await insertion;
    expect(await items.names()).toEqual(['first', 'not awaited']);
  });
});

describe('work that was not awaited and goes on before the COMMIT', () => {
  const twoOn = async (connection: AsyncConnection): Promise<void> => {
    await connection.execute(insert('debit'));
    await connection.execute(insert('credit'));
  };
  const two = async (name: string): Promise<void> => {
    await engine.execute(insert(`${name}, debit`));
    await engine.execute(insert(`${name}, credit`));
  };
  const failures: Promise<unknown>[] = [];
  const forget = (work: Promise<unknown>): void => void failures.push(failureOf(work));

  it.each<[string, () => Promise<unknown>]>([
    ['forEach() with an async function', async () => ['a', 'b'].forEach((name) => forget(two(name)))],
    [
      'a call without await behind another statement',
      async () => {
        await engine.execute(insert('order'));
        forget(two('a'));
      },
    ],
    [
      'a nested transaction behind a statement',
      async () => forget(two('a').then(() => engine.transaction(() => two('b')))),
    ],
  ])('undoes the whole rather than storing a half of it: %s', async (_, work) => {
    engine = items.engine();
    const failure = await failureOf(engine.transaction(work, { label: 'placeOrder' }));
    expect(failure).toBeInstanceOf(UnexpectedRollbackError);
    expect((failure as Error).cause).toBeInstanceOf(TransactionEndedError);
    for (const late of await Promise.all(failures.splice(0)))
      expect(late).toBeInstanceOf(TransactionEndedError);
    expect(await items.names()).toEqual([]);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['of engine.begin()', () => engine.begin(async (connection) => forget(twoOn(connection)))],
    [
      'of connection.begin()',
      async () => {
        await using connection = await engine.connect();
        await connection.begin(async () => forget(twoOn(connection)));
      },
    ],
    [
      'of a scope, in a transaction',
      () => engine.scope(() => engine.transaction(async () => forget(twoOn(engine.currentConnection())))),
    ],
  ])('undoes the whole where it has the connection: %s', async (_, run) => {
    engine = items.engine();
    expect(await failureOf(run())).toBeInstanceOf(UnexpectedRollbackError);
    for (const late of await Promise.all(failures.splice(0)))
      expect(late).toBeInstanceOf(TransactionEndedError);
    expect(await items.names()).toEqual([]);
  });

  it('in a nested transaction undoes that one', async () => {
    engine = items.engine();
    await engine.transaction(async () => {
      await engine.execute(insert('order'));
      const nested = engine.transaction(async () => forget(two('a')));
      expect(await failureOf(nested)).toBeInstanceOf(UnexpectedRollbackError);
    });
    await Promise.all(failures.splice(0));
    expect(await items.names()).toEqual(['order']);
  });

  it('in a scope of one unit undoes the unit', async () => {
    engine = items.engine();
    const unit = engine.scope(async () => {
      await engine.currentConnection().execute(insert('order'));
      forget(two('a'));
    });
    expect(await failureOf(unit)).toBeInstanceOf(UnexpectedRollbackError);
    await Promise.all(failures.splice(0));
    expect(await items.names()).toEqual([]);
  });
});

describe('late work that leaves the ended transaction alone', () => {
  it("is stored: 'requires-new', 'not-supported' and engine.scope() start afresh", async () => {
    engine = items.engine({ poolSize: 2 });
    const over = new Latch();
    const add = (name: string) => () => engine.execute(insert(name));
    const { late } = await engine.transaction(async () => {
      await engine.execute(insert('in time'));
      return {
        late: over.opened.then(async () => {
          await engine.transaction(add('requires-new'), { propagation: 'requires-new' });
          await engine.transaction(add('not-supported'), { propagation: 'not-supported' });
          await engine.scope(async () => {
            await engine.currentConnection().execute(insert('scope'));
          });
        }),
      };
    });
    over.open();
    await late;
    expect(await items.names()).toEqual(['in time', 'not-supported', 'requires-new', 'scope']);
  });
});

describe('an unawaited nested transaction', () => {
  it('is undone as far as it came, its promise rejects, and the outer one is stored', async () => {
    engine = items.engine();
    const inside = new Latch();
    const over = new Latch();
    const { late } = await engine.transaction(async () => {
      await engine.execute(insert('outer'));
      const nested = engine.transaction(async () => {
        await engine.execute(insert('partial'));
        inside.open();
        await over.opened;
        await engine.execute(insert('late'));
      });
      await inside.opened;
      return { late: failureOf(nested) };
    });
    over.open();
    expect(await late).toBeInstanceOf(TransactionEndedError);
    expect(await items.names()).toEqual(['outer']);
  });

  it('whose siblings still wait: none of them is let in', async () => {
    engine = items.engine();
    const inside = new Latch();
    const over = new Latch();
    const { late } = await engine.transaction(async () => {
      await engine.execute(insert('outer'));
      const first = engine.transaction(async () => {
        await engine.execute(insert('first'));
        inside.open();
        await over.opened;
      });
      const siblings = ['second', 'third'].map((name) =>
        engine.transaction(() => engine.execute(insert(name))),
      );
      await inside.opened;
      return { late: Promise.allSettled([first, ...siblings]) };
    });
    over.open();
    expect((await late).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(await items.names()).toEqual(['outer']);
  });

  for (const end of ['commits', 'rolls back'] as const) {
    it(`never leaves a row outside, 300 times, when the root ${end}`, async () => {
      engine = items.engine({ poolSize: 2 });
      for (let seed = 1; seed <= 300; seed += 1) {
        const random = seededRandom(seed);
        const left: Promise<'fulfilled' | 'rejected'>[] = [];
        const leave = (work: Promise<unknown>): void => {
          left.push(
            work.then(
              () => 'fulfilled',
              () => 'rejected',
            ),
          );
        };
        const branch = async (name: string, depth: number): Promise<void> => {
          for (let index = 0; index < 3; index += 1) {
            await randomTurns(random);
            await engine.execute(insert(`${name}.${index}`));
            if (depth === 0) continue;
            leave(engine.transaction(() => branch(`${name}.${index}`, depth - 1)));
          }
        };
        const root = engine.transaction(async () => {
          await engine.execute(insert('outer'));
          for (const name of ['a', 'b', 'c']) leave(engine.transaction(() => branch(name, 1)));
          await randomTurns(random, 30);
          if (end === 'rolls back') throw new Error('undo');
        });
        const outcome = await root.then(
          () => 'commits',
          () => 'rolls back',
        );
        expect(outcome).toBe(end);
        const stored = await items.names();
        const settled = await Promise.all(left);
        // What is there when the root has ended is all that ever will be: a promise that rejects left nothing.
        expect(await items.names(), `seed ${seed}`).toEqual(stored);
        if (end === 'rolls back') expect(stored).toEqual([]);
        for (const [index, name] of ['a', 'b', 'c'].entries()) {
          const isThere = stored.some((row) => row.startsWith(name));
          expect(isThere, `seed ${seed}, ${name}`).toBe(end === 'commits' && settled[index] === 'fulfilled');
        }
        await items.database.query('DELETE FROM item');
      }
    }, 60_000);
  }
});

describe('a Promise.all that rejects early', () => {
  it('leaves nothing of a sibling that is still running', async () => {
    engine = items.engine();
    const over = new Latch();
    let sibling: Promise<unknown> | undefined;
    await expect(
      engine.transaction(async () => {
        const running = new Latch();
        const slow = engine.transaction(async () => {
          await engine.execute(insert('slow'));
          running.open();
          await over.opened;
          await engine.execute(insert('slower'));
        });
        sibling = failureOf(slow);
        await Promise.all([slow, running.opened.then(() => Promise.reject(new Error('early')))]);
      }),
    ).rejects.toThrow('early');
    expect(engine.pool.checkedOut()).toBe(0);
    over.open();
    expect(await sibling).toBeInstanceOf(TransactionEndedError);
    expect(await items.names()).toEqual([]);
  });
});

describe('late work on the connection of an ended scope', () => {
  const one = text('SELECT 1');

  it.each<[string, (connection: AsyncConnection) => unknown]>([
    ['execute()', (connection) => connection.execute(one)],
    ['stream()', (connection) => connection.stream(one).all()],
    ['begin()', (connection) => connection.begin()],
    ['beginNested()', (connection) => connection.beginNested()],
    ['run()', (connection) => connection.run((client) => client.query('SELECT 1'))],
    ['getIsolationLevel()', (connection) => connection.getIsolationLevel()],
    ['getRawConnection()', (connection) => connection.getRawConnection()],
    ['start()', (connection) => connection.start()],
    ['invalidate()', async (connection) => connection.invalidate()],
  ])(
    'by %s is a ScopeEndedError that names the scope, inside and outside of its context',
    async (_, work) => {
      engine = items.engine();
      for (const commit of ['onSuccess', 'explicit'] as const) {
        const over = new Latch();
        const { connection, inside } = await engine.scope(
          async () => {
            const own = engine.currentConnection();
            await own.execute(one);
            return { connection: own, inside: failureOf(over.opened.then(async () => await work(own))) };
          },
          { label: 'nightly import', commit },
        );
        over.open();
        for (const failure of [await inside, await failureOf((async () => await work(connection))())]) {
          expect(failure).toBeInstanceOf(ScopeEndedError);
          expect(String(failure)).toContain('nightly import');
        }
      }
    },
  );

  it('by a stream that was made in time is one, too', async () => {
    engine = items.engine();
    const stream = await engine.scope(
      async () => {
        const connection = engine.currentConnection();
        await connection.execute(one);
        return connection.stream(one);
      },
      { label: 'nightly import' },
    );
    const failure = await failureOf(stream.all());
    expect(failure).toBeInstanceOf(ScopeEndedError);
    expect(String(failure)).toContain('nightly import');
  });

  it('by the client of run() is one, while its function runs on', async () => {
    engine = items.engine();
    const over = new Latch();
    const { outcome } = await engine.scope(
      async () => {
        const connection = engine.currentConnection();
        const run = connection.run(async (client) => {
          await over.opened;
          await client.query('SELECT 1');
        });
        return { outcome: failureOf(run) };
      },
      { label: 'nightly import' },
    );
    over.open();
    expect(await outcome).toBeInstanceOf(ScopeEndedError);
  });
});
