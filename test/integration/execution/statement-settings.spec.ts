import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ArgumentError, sql, text, UnexpectedRollbackError } from 'nest-async-engine/engine';
import type { AsyncConnection, AsyncEngine, AsyncEngineOptions } from 'nest-async-engine/engine';
import { startFaultyProxy } from '../../support/server/faulty-proxy.js';
import { failureOf, insert, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;

beforeAll(async () => {
  items = await ItemDatabase.open('statement_settings');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

interface Names {
  readonly tenant: string | null;
  readonly name: string | null;
}
const NAMES = text<Names>(
  `SELECT nullif(current_setting('app.tenant', true), '') AS tenant, nullif(current_setting('app.name', true), '') AS name`,
);
const OWN = { settings: { 'app.name': 'own' } };
const OF_A = { settings: { 'app.tenant': 'A', 'app.name': 'outer' } };

const ask = async (on: AsyncConnection | AsyncEngine, options = {}): Promise<Names> =>
  await on.execute(NAMES, undefined, options).one();

const OUTER = { tenant: 'A', name: 'outer' };
const BOTH = { tenant: 'A', name: 'own' };

describe('the settings of one statement', () => {
  it.each<[string, AsyncEngineOptions, (engine: AsyncEngine, work: typeof inTurn) => Promise<unknown>]>([
    ['outside of transactions', {}, (engine, work) => work(engine)],
    ['outside of transactions of a pooler', { pgbouncer: true }, (engine, work) => work(engine)],
    ['in engine.transaction()', {}, (engine, work) => engine.transaction(() => work(engine))],
    [
      'in a nested one',
      {},
      (engine, work) => engine.transaction(() => engine.transaction(() => work(engine))),
    ],
    ['in engine.begin()', {}, (engine, work) => engine.begin(work)],
    ['on a connection', {}, (engine, work) => engine.connect(work)],
    [
      'on the connection of a scope',
      {},
      (engine, work) => engine.scope(() => work(engine.currentConnection())),
    ],
    ['in a scope', {}, (engine, work) => engine.scope(() => work(engine))],
    ['with AUTOCOMMIT', { isolationLevel: 'AUTOCOMMIT' }, (engine, work) => engine.connect(work)],
    ['with AUTOCOMMIT in a block', { isolationLevel: 'AUTOCOMMIT' }, (engine, work) => engine.begin(work)],
    ['with a level', { isolationLevel: 'SERIALIZABLE' }, (engine, work) => work(engine)],
    [
      'set by SET LOCAL',
      { settingsAs: 'set local' },
      (engine, work) => engine.transaction(() => work(engine)),
    ],
  ])('are added by name to those around it, and end with it: %s', async (_, options, run) => {
    const engine = items.engine(options).executionOptions(OF_A);
    await run(engine, inTurn);
  });

  async function inTurn(on: AsyncConnection | AsyncEngine): Promise<void> {
    expect(await ask(on, OWN)).toEqual(BOTH);
    expect(await ask(on)).toEqual(OUTER);
    expect(await ask(on, { settings: { 'App.Tenant': 'B' } })).toEqual({ tenant: 'B', name: 'outer' });
    expect(await ask(on, { settings: { 'app.tenant': 'C' }, timeout: 5_000 })).toEqual({
      tenant: 'C',
      name: 'outer',
    });
    expect(await ask(on)).toEqual(OUTER);
  }

  it('hold for that statement alone where others are sent beside it', async () => {
    const engine = items.engine().executionOptions(OF_A);
    const asked = await engine.transaction(() =>
      Promise.all([ask(engine), ask(engine, OWN), ask(engine), ask(engine, OWN), ask(engine)]),
    );
    expect(asked).toEqual([OUTER, BOTH, OUTER, BOTH, OUTER]);
  });

  it('hold for a batch, an executemany and a stream of its own', async () => {
    const engine = items.engine().executionOptions(OF_A);
    const [first, second] = await engine.batch([NAMES, NAMES], OWN);
    expect([first.one(), second.one()]).toEqual([BOTH, BOTH]);
    expect(await engine.stream(NAMES, undefined, OWN).one()).toEqual(BOTH);
    const many = text(`INSERT INTO item (name) VALUES (:name || current_setting('app.name'))`);
    await engine.transaction(() => engine.execute(many, [{ name: 'a-' }, { name: 'b-' }], OWN));
    expect(await items.names()).toEqual(['a-own', 'b-own']);
    expect(await ask(engine)).toEqual(OUTER);
  });

  it('travel with the statement: no round trip is added', async () => {
    await using proxy = await startFaultyProxy(items.database.url);
    const engine = items.engine({}, proxy.url);
    const inTransaction = (): Promise<unknown> =>
      engine.transaction(async () => {
        await ask(engine, OWN);
        await ask(engine);
        await ask(engine, OWN);
      });
    const roundTripsOf = async (work: () => Promise<unknown>): Promise<number> => {
      const before = proxy.roundTrips;
      await work();
      return proxy.roundTrips - before;
    };
    await ask(engine, OWN);
    await inTransaction();
    expect(await roundTripsOf(() => ask(engine, OWN))).toBe(1);
    expect(await roundTripsOf(inTransaction)).toBe(4);
    await engine.aclose();
  });

  it.each<[string, (engine: AsyncEngine) => PromiseLike<unknown>]>([
    ['was refused unsent', (engine) => engine.execute(sql`SELECT ${new Map()}`, undefined, OWN)],
    ['was aborted', (engine) => engine.execute(NAMES, undefined, { ...OWN, signal: AbortSignal.abort() })],
  ])('leave those around it as they are where it %s', async (_, send) => {
    const engine = items.engine().executionOptions(OF_A);
    await engine.transaction(async () => {
      await ask(engine);
      expect(await failureOf(Promise.resolve(send(engine)))).toBeInstanceOf(Error);
      expect(await ask(engine)).toEqual(OUTER);
    });
  });

  it('end with the savepoint that its failure undoes; swallowed, it fails the transaction', async () => {
    const engine = items.engine().executionOptions(OF_A);
    const fail = async (): Promise<unknown> => await engine.execute(sql`SELECT 1 / 0`, undefined, OWN);
    await engine.transaction(async () => {
      await ask(engine);
      await engine.transaction(fail).catch(() => undefined);
      expect(await ask(engine)).toEqual(OUTER);
      await engine
        .transaction(async () => {
          await ask(engine, OWN);
          throw new Error('undone');
        })
        .catch(() => undefined);
      expect(await ask(engine)).toEqual(OUTER);
    });
    const swallowed = engine.transaction(async () => {
      await engine.execute(insert('a'));
      await fail().catch(() => undefined);
    });
    expect(await failureOf(swallowed)).toBeInstanceOf(UnexpectedRollbackError);
    expect(await items.names()).toEqual([]);
  });

  it('are refused for a stream that has other statements beside it, and where they are no settings', async () => {
    const engine = items.engine();
    await engine.transaction(async () => {
      expect(
        await failureOf((async () => await engine.stream(NAMES, undefined, OWN).all())()),
      ).toBeInstanceOf(ArgumentError);
    });
    for (const settings of [new Map(), { 'app.name': 1 }, { 'no name': 'x' }])
      expect(await failureOf(ask(engine, { settings }))).toBeInstanceOf(ArgumentError);
  });
});
