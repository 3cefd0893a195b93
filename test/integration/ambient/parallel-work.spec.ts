import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { NestedScopeBusyError, text, UniqueViolationError } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { eventually, Latch } from '../../support/process/barrier.js';
import { startFaultyProxy } from '../../support/server/faulty-proxy.js';
import { failureOf, randomTurns, insert, seededRandom, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
beforeAll(async () => {
  items = await ItemDatabase.open('parallel');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

/** A tree of nested transactions, each with a row, some of which fail; gives the names that must be there. */
async function grow(
  engine: AsyncEngine,
  random: () => number,
  name: string,
  depth: number,
): Promise<string[]> {
  const kept = [name];
  await randomTurns(random);
  await engine.execute(insert(name));
  const width = depth === 0 ? 0 : 1 + Math.floor(random() * 3);
  const branches = Array.from({ length: width }, async (_, index) => {
    await randomTurns(random);
    const fate = random();
    try {
      const names = await engine.transaction(async () => {
        const inside = await grow(engine, random, `${name}.${index}`, depth - 1);
        if (fate < 0.2) throw new Error('a reason of its own');
        if (fate < 0.35) await engine.execute(insert(`${name}.${index}`));
        return inside;
      });
      kept.push(...names);
    } catch (error) {
      if (!(error instanceof UniqueViolationError) && !String(error).includes('of its own')) throw error;
    }
    if (random() < 0.3) {
      await engine.execute(insert(`${name}+${index}`));
      kept.push(`${name}+${index}`);
    }
  });
  await Promise.all(branches);
  return kept;
}

describe('nested transactions in parallel', () => {
  for (const poolSize of [1, 5]) {
    it(`keep the rows of those that succeed and no others, 500 times, pool of ${poolSize}`, async () => {
      const engine = items.engine({ poolSize });
      for (let seed = 1; seed <= 500; seed += 1) {
        const random = seededRandom(seed);
        const kept = await engine.transaction(() => grow(engine, random, 'r', 2));
        expect(await items.names(), `seed ${seed}`).toEqual(
          (
            await items.database.query('SELECT name FROM UNNEST($1::TEXT[]) AS name ORDER BY name', [kept])
          ).map(({ name }) => name as string),
        );
        await items.database.query('DELETE FROM item');
      }
    }, 120_000);
  }

  it('end in a COMMIT that is a COMMIT', async () => {
    await using proxy = await startFaultyProxy(items.database.url);
    const engine = items.engine({}, proxy.url);
    await engine.transaction(async () => {
      const results = await Promise.allSettled(
        ['a', 'b', 'b', 'c'].map((name) => engine.transaction(() => engine.execute(insert(name)))),
      );
      expect(results.map(({ status }) => status)).toEqual([
        'fulfilled',
        'fulfilled',
        'rejected',
        'fulfilled',
      ]);
    });
    const tags = proxy.messages.filter(({ type }) => type === 'CommandComplete').map(({ text: tag }) => tag);
    expect(tags.at(-1)).toBe('COMMIT');
    expect(await items.names()).toEqual(['a', 'b', 'c']);
    await engine.dispose();
  });

  it('many roots at once on a small pool keep to themselves', async () => {
    const engine = items.engine({ poolSize: 5 });
    const all = await Promise.all(
      Array.from({ length: 40 }, (_, index) => {
        const random = seededRandom(1_000 + index);
        return engine.transaction(() => grow(engine, random, `root${index}`, 2));
      }),
    );
    expect((await items.names()).toSorted()).toEqual(all.flat().toSorted());
  });
});

describe('the first statement of a transaction, whose answer comes in parts,', () => {
  // Enough that the server sends a part of it, and with it what it says of BEGIN, before the end.
  const slowRows = "SELECT repeat('x', 20000) AS x, pg_sleep(0.005) FROM generate_series(1, 60)";
  const ways: Record<string, (engine: AsyncEngine) => Promise<unknown>> = {
    'execute()': async (engine) => await engine.execute(text(slowRows)),
    'copyFrom()': (engine) =>
      engine.copyFrom(
        'COPY item (name) FROM STDIN',
        (async function* () {
          yield 'copied\n';
          await new Promise((resolve) => setTimeout(resolve, 200));
        })(),
      ),
    'copyTo()': (engine) => engine.copyTo(`COPY (${slowRows}) TO STDOUT`).toArray(),
  };
  const begun = (engine: AsyncEngine): Promise<void> =>
    eventually(() => expect(engine.currentConnection().getTransaction()?.state).toBe('active'));

  it.each(Object.entries(ways))('has a nested transaction behind it: %s', async (_, first) => {
    const engine = items.engine();
    await engine.transaction(async () => {
      const rows = first(engine);
      await begun(engine);
      await engine.transaction(() => engine.execute(insert('nested')));
      await rows;
    });
    expect(await items.names()).toContain('nested');
  });

  it.each(Object.entries(ways))(
    'is awaited by the COMMIT, although its work is not: %s',
    async (_, first) => {
      const engine = items.engine();
      let rows: Promise<unknown> | undefined;
      await engine.transaction(async () => {
        rows = first(engine);
        await begun(engine);
      });
      await expect(rows).resolves.toBeDefined();
    },
  );
});

describe('a statement of the parent', () => {
  it('waits while a nested transaction is inside, and is not undone with it', async () => {
    const engine = items.engine();
    await engine.transaction(async () => {
      const inside = new Latch();
      const leave = new Latch();
      const order: string[] = [];
      const child = engine
        .transaction(async () => {
          await engine.execute(insert('child'));
          inside.open();
          await leave.opened;
          throw new Error('undo');
        })
        .catch(() => order.push('child'));
      await inside.opened;
      const own = engine.execute(insert('parent')).then(() => order.push('parent'));
      await randomTurns(() => 0.99, 10);
      expect(order).toEqual([]);
      leave.open();
      await Promise.all([child, own]);
      expect(order).toEqual(['child', 'parent']);
    });
    expect(await items.names()).toEqual(['parent']);
  });

  it('that its child waits for is refused after nestedWaitTimeout, with both places of begin', async () => {
    const engine = items.engine({ nestedWaitTimeout: 50 });
    let failure: unknown;
    await engine.transaction(
      async () => {
        const inside = new Latch();
        // Issued by the parent, waited for by the child.
        const statement = inside.opened.then(() => engine.execute(text('SELECT 1')));
        const refused = failureOf(statement);
        await engine.transaction(
          async () => {
            await engine.execute(insert('child'));
            inside.open();
            failure = await refused;
          },
          { label: 'the child' },
        );
      },
      { label: 'the parent' },
    );
    expect(failure).toBeInstanceOf(NestedScopeBusyError);
    expect(String(failure)).toMatch(/the parent.*the child/s);
    expect(await items.names()).toEqual(['child']);
  });

  it('a sibling that a nested transaction waits for is refused in the same way', async () => {
    const engine = items.engine({ nestedWaitTimeout: 50 });
    await engine.transaction(async () => {
      const inside = new Latch();
      const sibling = inside.opened.then(() => engine.transaction(() => engine.execute(insert('sibling'))));
      const refused = failureOf(sibling);
      await engine.transaction(async () => {
        await engine.execute(insert('first'));
        inside.open();
        expect(await refused).toBeInstanceOf(NestedScopeBusyError);
      });
    });
    expect(await items.names()).toEqual(['first']);
  });

  it('slow siblings are waited for, however long they take together', async () => {
    const engine = items.engine({ nestedWaitTimeout: 50 });
    const slow = (name: string) => async (): Promise<void> => {
      await engine.execute(text('SELECT pg_sleep(0.06)'));
      await engine.execute(insert(name));
    };
    await engine.transaction(() =>
      Promise.all(['a', 'b', 'c', 'd'].map((name) => engine.transaction(slow(name)))),
    );
    expect(await items.names()).toEqual(['a', 'b', 'c', 'd']);
  });

  it('names the file in which a transaction without a label was begun', async () => {
    const engine = items.engine();
    await engine.scope(
      async () => {
        engine.currentConnection();
        await engine.transaction(async () => {
          const { origin } = engine.currentConnection().getTransaction() ?? { origin: '' };
          expect(origin).toContain('parallel-work.spec.ts');
          await engine.transaction(() => {
            const nested = engine.currentConnection().getNestedTransaction();
            expect(nested?.origin).toContain('parallel-work.spec.ts');
          });
        });
      },
      { commit: 'explicit' },
    );
  });
});
