import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ArgumentError, IllegalStateError, QueryCanceledError, text } from 'nest-async-engine/engine';
import type { AsyncConnection, AsyncEngine, ExecutionOptions, ScopeOptions } from 'nest-async-engine/engine';
import { failureOf, insert, MemoryLogger, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('promised_options');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const start = (): AsyncEngine => (engine = items.engine({ logger: new MemoryLogger(), poolSize: 2 }));
const TENANT = text<{ tenant: string }>("SELECT coalesce(current_setting('app.tenant', true), '') AS tenant");

/** Runs `work` in a scope with the connection of that scope. */
function inScope<T>(options: ScopeOptions, work: (connection: AsyncConnection) => Promise<T>): Promise<T> {
  return start().scope(() => work(engine.currentConnection()), options);
}

/** A tenant that the database has to be asked for. */
async function redByQuery(): Promise<ExecutionOptions> {
  return { settings: { 'app.tenant': String(await engine.scalar(text("SELECT 'red'"))) } };
}

describe.each(['onSuccess', 'explicit'] as const)('options that a promise gives a scope (%s)', (commit) => {
  const options: ScopeOptions = { commit, connection: redByQuery };

  it.each<[string, (connection: AsyncConnection) => Promise<unknown>]>([
    ['execute()', (connection) => connection.execute(TENANT).scalar()],
    ['engine.execute()', async () => (await engine.transaction(() => engine.execute(TENANT))).scalar()],
    ['begin()', (connection) => connection.beginNested(() => connection.scalar(TENANT))],
    [
      'stream() behind start()',
      async (connection) => {
        await connection.start();
        return (await connection.stream(TENANT).one()).tenant;
      },
    ],
    [
      'engine.stream() in a transaction',
      async () => (await engine.transaction(() => engine.stream(TENANT).one())).tenant,
    ],
    [
      'run()',
      async (connection) =>
        (await connection.run((client) => client.query<{ tenant: string }>(TENANT.sql))).rows[0]?.tenant,
    ],
    [
      'getRawConnection()',
      async (connection) => {
        await connection.getRawConnection();
        return await connection.scalar(TENANT);
      },
    ],
    [
      'getIsolationLevel()',
      async (connection) => {
        await connection.getIsolationLevel();
        return await connection.scalar(TENANT);
      },
    ],
  ])('are awaited by %s as the first to ask', async (_name, ask) => {
    expect(await inScope(options, ask)).toBe('red');
  });

  it('are asked once by statements side by side', async () => {
    let asked = 0;
    const connection = async (): Promise<ExecutionOptions> => {
      asked += 1;
      return await redByQuery();
    };
    const answers = await inScope({ commit, connection }, (own) =>
      Promise.all([own.scalar(TENANT), engine.scalar(TENANT), own.scalar(TENANT)]),
    );
    expect([answers[0], answers[2], asked]).toEqual(['red', 'red', 1]);
  });

  it('that are refused or wrong run nothing, and are asked again by the next statement', async () => {
    const given: (() => Promise<ExecutionOptions>)[] = [
      () => Promise.reject(new Error('no tenant')),
      () => Promise.resolve({ settings: new Map() } as unknown as ExecutionOptions),
      () => Promise.resolve(undefined as unknown as ExecutionOptions),
    ];
    const failures = await inScope(
      { commit, connection: () => given.shift()?.() ?? redByQuery() },
      async (own) => [
        await failureOf(own.execute(insert('first'))),
        await failureOf(own.execute(insert('second'))),
        await failureOf(own.execute(insert('third'))),
        await own.scalar(TENANT),
      ],
    );
    expect(failures[0]).toMatchObject({ message: 'no tenant' });
    expect(failures[1]).toBeInstanceOf(ArgumentError);
    expect(failures[2]).toBeInstanceOf(ArgumentError);
    expect(failures[3]).toBe('red');
    expect(await items.names()).toEqual([]);
  });

  it('that never come end with the signal or the timeout of the statement', async () => {
    const never = { commit, connection: () => new Promise<never>(() => undefined) };
    const work = inScope(never, (own) => own.execute(insert('never'), undefined, { timeout: 30 }));
    expect(await failureOf(work)).toBeInstanceOf(QueryCanceledError);
  });
});

it('a stream that would be compiled before they are known is refused, with the remedy', async () => {
  const work = inScope({ connection: redByQuery }, (own) => own.stream(TENANT).all());
  expect(await failureOf(work)).toBeInstanceOf(IllegalStateError);
});
