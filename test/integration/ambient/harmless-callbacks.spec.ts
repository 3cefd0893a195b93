import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { text, UnexpectedRollbackError } from 'nest-async-engine/engine';
import type { AsyncEngine, TransactionalOptions } from 'nest-async-engine/engine';
import { failureOf, insert, MemoryLogger, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
let log: MemoryLogger;
beforeAll(async () => {
  items = await ItemDatabase.open('harmless');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

function start(): void {
  log = new MemoryLogger();
  engine = items.engine({ logger: log });
}

const throws = (): boolean => {
  throw new RangeError('of the predicate');
};

describe('a predicate of rollbackFor or noRollbackFor', () => {
  const options: Record<string, TransactionalOptions> = {
    'noRollbackFor that throws': { noRollbackFor: [throws] },
    'rollbackFor that throws': { rollbackFor: [throws] },
    'noRollbackFor that answers with a promise': {
      noRollbackFor: [(() => Promise.resolve(true)) as unknown as () => boolean],
    },
  };
  for (const [name, given] of Object.entries(options)) {
    it(`${name} counts as "roll back", with the work's error, and is reported`, async () => {
      start();
      const work = engine.transaction(async () => {
        await engine.execute(insert('undone'));
        throw new TypeError('of the work');
      }, given);
      expect(await failureOf(work)).toBeInstanceOf(TypeError);
      expect(engine.pool.checkedOut()).toBe(0);
      expect(log.errors).toHaveLength(1);
      expect(await items.names()).toEqual([]);
    });
  }
});

describe('what has no text and is thrown', () => {
  const thrown: unknown = Object.create(null);
  const throwsIt = (): never => {
    throw thrown;
  };

  it('by a predicate keeps no connection', async () => {
    start();
    const work = engine.transaction(
      async () => {
        await engine.execute(insert('undone'));
        throw new TypeError('of the work');
      },
      { rollbackFor: [throwsIt] },
    );
    expect(await failureOf(work)).toBeInstanceOf(TypeError);
    expect(engine.pool.checkedOut()).toBe(0);
    expect(await items.names()).toEqual([]);
  });

  it('by a hook after the COMMIT hides nothing of what is stored', async () => {
    start();
    const work = engine.transaction(async () => {
      await engine.execute(insert('stored'));
      engine.afterCommit(throwsIt);
    });
    expect(await failureOf(work)).toMatchObject({ name: 'AfterCommitError', cause: thrown });
    expect(await items.names()).toEqual(['stored']);
  });

  it('by a value is an error of its statement', async () => {
    start();
    const parameters = {
      get name() {
        return throwsIt();
      },
    };
    const failure = await failureOf(engine.execute(text('SELECT :name'), parameters));
    expect(failure).toMatchObject({ name: 'StatementError', cause: thrown });
  });
});

describe('a logger', () => {
  const loggers: [string, () => unknown][] = [
    ['throws', throws],
    ['rejects', () => Promise.reject(new RangeError('of the logger'))],
  ];
  const written: string[] = [];
  beforeEach(() => {
    written.length = 0;
    vi.spyOn(console, 'error').mockImplementation((line: string) => void written.push(line));
  });
  afterEach(() => vi.restoreAllMocks());

  it.each(loggers)('that %s keeps no connection, and its line goes to the console', async (_, fail) => {
    engine = items.engine({ logger: { log: fail, warn: fail, error: fail, debug: fail } });
    const work = engine.transaction(
      async () => {
        await engine.execute(insert('undone'));
        throw new TypeError('of the work');
      },
      { rollbackFor: [throws] },
    );
    expect(await failureOf(work)).toBeInstanceOf(TypeError);
    await engine.connect((connection) => connection.execute(insert('undone')));
    expect(engine.pool.checkedOut()).toBe(0);
    expect(written).toEqual([
      expect.stringMatching(/of the predicate[^]*the logger has failed/),
      expect.stringMatching(/was not committed[^]*the logger has failed/),
    ]);
  });

  it.each(loggers)('that %s does not stop what echo writes down', async (_, fail) => {
    const logger = { log: fail, warn: fail, error: fail };
    engine = items.engine({ logger, echo: 'debug', echoPool: 'debug' });
    await engine.transaction(() => engine.execute(insert('stored')));
    expect(await items.names()).toEqual(['stored']);
    expect(written.length).toBeGreaterThan(3);
  });
});

it.each(['rollbackFor', 'noRollbackFor'])(
  'an async function in %s is refused before anything runs',
  async (name) => {
    start();
    const predicate = (async () => true) as unknown as () => boolean;
    const work = engine.transaction(() => engine.execute(insert('never')), { [name]: [predicate] });
    expect(await failureOf(work)).toMatchObject({
      name: 'ArgumentError',
      message: expect.stringMatching(/not async/),
    });
    expect(await items.names()).toEqual([]);
  },
);

describe('retry', () => {
  /** Fails its first run with the SQLSTATE `state`, which the work catches. */
  function swallowing(state: string): { work: () => Promise<void>; runs: () => number } {
    let runs = 0;
    const fail = text(`DO $$ BEGIN RAISE SQLSTATE '${state}'; END $$`);
    const work = async (): Promise<void> => {
      runs += 1;
      await engine.execute(insert(`run ${runs}`));
      if (runs === 1)
        await engine
          .execute(fail)
          .all()
          .catch(() => undefined);
    };
    return { work, runs: () => runs };
  }

  it.each(['40001', '40P01'])(
    'runs the work again that caught %s, so that its COMMIT failed',
    async (state) => {
      start();
      const { work, runs } = swallowing(state);
      await engine.transaction(work, { retry: { retries: 2, baseDelay: 1 } });
      expect([runs(), await items.names()]).toEqual([2, ['run 2']]);
    },
  );

  it('leaves alone what no other run could mend', async () => {
    start();
    const { work, runs } = swallowing('23505');
    const failure = await failureOf(engine.transaction(work, { retry: { retries: 2, baseDelay: 1 } }));
    expect(failure).toBeInstanceOf(UnexpectedRollbackError);
    expect(runs()).toBe(1);
  });

  it('asks retryOn of the error and of its causes', async () => {
    start();
    const { work, runs } = swallowing('23505');
    const retryOn = (error: unknown): boolean => (error as { sqlState?: string }).sqlState === '23505';
    await engine.transaction(work, { retry: { retries: 1, baseDelay: 1, retryOn } });
    expect(runs()).toBe(2);
  });

  it.each(['retryOn', 'onRetry'] as const)("throws the work's error where %s throws", async (name) => {
    start();
    const { work, runs } = swallowing('40001');
    const options = { retry: { retries: 1, baseDelay: 1, [name]: throws } };
    expect(await failureOf(engine.transaction(work, options))).toBeInstanceOf(UnexpectedRollbackError);
    expect(runs()).toBe(1);
  });
});

describe('a connection that comes back with a transaction', () => {
  const returned = async (work: string): Promise<string[]> => {
    start();
    await engine.connect((connection) => connection.execute(text(work)));
    return log.warnings;
  };

  it('that has written is warned of', async () => {
    expect(await returned(`INSERT INTO item (name) VALUES ('lost')`)).toEqual([
      expect.stringContaining('was not committed'),
    ]);
    expect(await items.names()).toEqual([]);
  });

  it('that has read is not', async () => {
    expect(await returned('SELECT name FROM item')).toEqual([]);
  });
});

describe('nested work that its function did not await', () => {
  it.each<[string, (nested: () => Promise<void>) => Promise<unknown>]>([
    ['engine.transaction()', (nested) => engine.transaction(nested)],
    [
      'engine.scope()',
      (nested) =>
        engine.scope(async () => {
          engine.currentConnection();
          await nested();
        }),
    ],
  ])('is undone by %s', async (_name, run) => {
    start();
    let late: Promise<unknown> | undefined;
    await run(async () => {
      await engine.execute(insert('outer'));
      await new Promise<void>((inside) => {
        late = failureOf(
          engine.transaction(async () => {
            await engine.execute(insert('debit'));
            inside();
            await new Promise((resolve) => setImmediate(resolve));
            await engine.execute(insert('credit'));
          }),
        );
      });
    });
    await late;
    expect(await items.names()).toEqual(['outer']);
  });

  it.each(['engine.begin()', 'connection.begin()'])('is undone by %s', async (name) => {
    start();
    let late: Promise<unknown> | undefined;
    const begin: AsyncEngine['begin'] =
      name === 'engine.begin()'
        ? (work) => engine.begin(work)
        : (work) => engine.connect((connection) => connection.begin(() => work(connection)));
    await begin(async (connection) => {
      await connection.execute(insert('outer'));
      await new Promise<void>((inside) => {
        late = failureOf(
          connection.beginNested(async () => {
            await connection.execute(insert('debit'));
            inside();
            await new Promise((resolve) => setImmediate(resolve));
            await connection.execute(insert('credit'));
          }),
        );
      });
    });
    await late;
    expect(await items.names()).toEqual(['outer']);
  });
});
