import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ArgumentError, sql, text } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { recordSql } from 'nest-async-engine/testing';
import { ItemDatabase, insert } from '../support/items.js';
import { TestRun } from './test-run.js';

let items: ItemDatabase;

beforeAll(async () => {
  items = await ItemDatabase.open('record_sql');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const dialogue = [
  'BEGIN',
  `INSERT INTO item (name) VALUES ('a')`,
  'SAVEPOINT nae_savepoint_1',
  `INSERT INTO item (name) VALUES ('b')`,
  'RELEASE SAVEPOINT nae_savepoint_1',
  'SELECT 1',
  'COMMIT',
];

async function work(engine: AsyncEngine): Promise<void> {
  await engine.transaction(async () => {
    await engine.execute(insert('a'));
    await engine.transaction(() => engine.execute(insert('b')));
    await engine.execute(sql`SELECT 1`);
  });
}

const withoutNumbers = (texts: readonly string[]) => texts.map((one) => one.replace(/_\d+$/, '_n'));

describe('recordSql', () => {
  it('writes down a transaction as it was sent', async () => {
    const engine = items.engine();
    using log = recordSql(engine);
    await work(engine);
    expect(log.texts).toEqual(dialogue);
  });

  it('leaves control out when it is told to', async () => {
    const engine = items.engine();
    using log = recordSql(engine, { control: false });
    await work(engine);
    expect(log.texts).toEqual(dialogue.filter((one) => /^(INSERT|SELECT)/.test(one)));
  });

  it('keeps values by position', async () => {
    const engine = items.engine();
    using log = recordSql(engine);
    await engine.execute(text('SELECT :a::INT + :b::INT'), { a: 1, b: 2 });
    expect(log.statements).toEqual([
      {
        text: 'SELECT $1::INT + $2::INT',
        values: [1, 2],
        isControl: false,
        session: 1,
        host: new URL(items.database.url).host,
      },
    ]);
  });

  it('tells sessions apart', async () => {
    const engine = items.engine({ poolSize: 2 });
    using log = recordSql(engine, { control: false });
    await engine.begin(async (one) => {
      await one.execute(sql`SELECT 1`);
      await engine.begin((other) => other.execute(sql`SELECT 2`));
      await one.execute(sql`SELECT 3`);
    });
    expect(log.sessions.map(({ statements }) => statements.map((sent) => sent.text))).toEqual([
      ['SELECT 1', 'SELECT 3'],
      ['SELECT 2'],
    ]);
  });

  it('takes a stream once, however often it fetches', async () => {
    const engine = items.engine();
    using log = recordSql(engine, { control: false });
    const rows = engine.stream(sql`SELECT generate_series(1, 9)`, undefined, { yieldPer: 2 });
    expect(await rows.all()).toHaveLength(9);
    expect(log.texts).toEqual(['SELECT generate_series(1, 9)']);
  });

  it('sees connections that were on loan before, and sees none once it is stopped', async () => {
    const engine = items.engine();
    await using connection = await engine.connect();
    const log = recordSql(engine, { control: false });
    await connection.execute(sql`SELECT 1`);
    log.clear();
    await connection.execute(sql`SELECT 2`);
    log.stop();
    await connection.execute(sql`SELECT 3`);
    expect(log.texts).toEqual(['SELECT 2']);
  });

  it('goes with the engine when its pool is replaced', async () => {
    const engine = items.engine();
    using log = recordSql(engine);
    await engine.dispose();
    await engine.execute(sql`SELECT 1`);
    expect(log.texts).toEqual(['SELECT 1']);
  });

  it.each(['before', 'in'] as const)('begun %s a test shows what the application says', async (moment) => {
    const engine = items.engine();
    const run = new TestRun(engine);
    const early = moment === 'before' ? recordSql(engine) : undefined;
    await run.begin();
    using log = early ?? recordSql(engine);
    await work(engine);
    await run.end();
    expect(withoutNumbers(log.texts)).toEqual(withoutNumbers(dialogue));
  });

  it('lets requires-new nest where it records, too', async () => {
    const engine = items.engine();
    using log = recordSql(engine, { control: false });
    await new TestRun(engine).test(() =>
      engine.transaction(async () => {
        await engine.execute(insert('a'));
        await engine.transaction(() => engine.execute(insert('b')), { propagation: 'requires-new' });
      }),
    );
    expect(log.sessions).toHaveLength(2);
  });

  it('refuses what is no engine', () => {
    expect(() => recordSql({} as AsyncEngine)).toThrow(ArgumentError);
  });
});
