import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ArgumentError, IllegalStateError, text } from 'nest-async-engine/engine';
import type { AsyncConnection, AsyncEngine } from 'nest-async-engine/engine';
import { failureOf, insert, MemoryLogger, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('autocommit');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const VACUUM = text('VACUUM item');
const NAMES = text('SELECT name FROM item ORDER BY name');

function start(): AsyncEngine {
  engine = items.engine({ isolationLevel: 'AUTOCOMMIT', poolSize: 2, logger: new MemoryLogger() });
  return engine;
}

/** A connection at AUTOCOMMIT of an engine that is not. */
async function connected(): Promise<AsyncConnection> {
  engine = items.engine({ logger: new MemoryLogger() });
  return await (await engine.connect()).executionOptions({ isolationLevel: 'AUTOCOMMIT' });
}

describe('with AUTOCOMMIT no BEGIN is sent', () => {
  it.each<[string, (work: () => Promise<unknown>) => Promise<unknown>]>([
    ['engine.begin()', (work) => engine.begin((connection) => connection.execute(VACUUM).then(work))],
    ['engine.transaction()', (work) => engine.transaction(() => engine.execute(VACUUM).then(work))],
    ['engine.scope()', (work) => engine.scope(() => engine.currentConnection().execute(VACUUM).then(work))],
    ['engine.connect()', (work) => engine.connect((connection) => connection.execute(VACUUM).then(work))],
  ])('VACUUM works in %s, and what was acknowledged is stored though the work throws', async (_name, run) => {
    start();
    const failure = await failureOf(
      run(async () => {
        await engine.execute(insert('acknowledged'));
        throw new RangeError('later');
      }),
    );
    expect(failure).toBeInstanceOf(RangeError);
    expect(await items.names()).toEqual(['acknowledged']);
  });

  it('an explicit transaction commits and rolls back nothing', async () => {
    const connection = await connected();
    const transaction = await connection.begin();
    expect(connection.inTransaction()).toBe(true);
    await connection.execute(VACUUM);
    await connection.execute(insert('stored'));
    expect(await failureOf(connection.execute(insert('stored')))).toMatchObject({ sqlState: '23505' });
    await connection.execute(insert('after the failure'));
    await transaction.rollback();
    expect(await items.names()).toEqual(['after the failure', 'stored']);
    await connection.close();
  });

  it.each(['BEGIN', 'start transaction', '/* x */ begin work'])(
    '%s as a statement is refused: a ROLLBACK behind it would undo nothing',
    async (begin) => {
      const connection = await connected();
      for (const sent of [connection.execute(text(begin)), connection.execDriverSql(begin)]) {
        const failure = await failureOf(sent);
        expect(failure).toBeInstanceOf(IllegalStateError);
        expect((failure as Error).message).toMatch(/with AUTOCOMMIT each statement/);
      }
      await connection
        .begin(() => connection.execute(insert('undone')).then(() => Promise.reject(new RangeError())), {
          isolationLevel: 'READ COMMITTED',
        })
        .catch(() => undefined);
      expect(await items.names()).toEqual([]);
      await connection.close();
    },
  );

  it('settings and readOnly hold for each statement', async () => {
    engine = items.engine({ isolationLevel: 'AUTOCOMMIT', settings: { 'app.tenant': 'red' } });
    const tenant = text("SELECT current_setting('app.tenant', TRUE)");
    await engine.begin(async (connection) => {
      expect(await connection.scalar(tenant)).toBe('red');
      await connection.execute(insert('between'));
      expect(await connection.scalar(tenant)).toBe('red');
    });
    await engine.connect(async (connection) => {
      expect(await connection.scalar(tenant)).toBe('red');
      await connection.executionOptions({ readOnly: true });
      expect(await failureOf(connection.execute(insert('refused')))).toMatchObject({ sqlState: '25006' });
    });
  });
});

describe('what needs a transaction', () => {
  it('is refused: a savepoint on the connection and in the context, and nothing stays open', async () => {
    const connection = await connected();
    expect(await failureOf(connection.beginNested())).toBeInstanceOf(IllegalStateError);
    expect(connection.inTransaction()).toBe(false);
    await connection.close();
    const nested = start().transaction(() => engine.transaction(() => engine.execute(NAMES)));
    expect(await failureOf(nested)).toBeInstanceOf(IllegalStateError);
  });

  it.each(['AUTOCOMMIT', 'autocommit'])('is not called %s: the option of one transaction', async (level) => {
    engine = items.engine();
    const options = { isolationLevel: level as 'AUTOCOMMIT' };
    const attempts = [
      engine.transaction(() => engine.execute(NAMES), options),
      engine.begin((connection) => connection.execute(NAMES), options),
      engine.connect((connection) => connection.begin(options)),
    ];
    for (const attempt of attempts) expect(await failureOf(attempt)).toBeInstanceOf(ArgumentError);
  });

  it('is begun by a transaction with an isolation level of its own', async () => {
    await failureOf(
      start().transaction(
        async () => {
          await engine.execute(insert('undone'));
          throw new RangeError('later');
        },
        { isolationLevel: 'READ COMMITTED' },
      ),
    );
    expect(await items.names()).toEqual([]);
  });
});

describe('a stream on an AUTOCOMMIT connection', () => {
  it('refuses other statements and another stream while it is open, and names itself', async () => {
    const connection = await connected();
    await connection.execute(insert('one'));
    await connection.execute(insert('two'));
    const stream = connection.stream(NAMES, {}, { yieldPer: 1 });
    const names: unknown[] = [];
    for await (const row of stream) {
      names.push(row.name);
      const others: (() => PromiseLike<unknown>)[] = [
        () => connection.execute(insert('three')),
        () => connection.stream(NAMES).all(),
        () => connection.beginNested(),
      ];
      for (const other of others) {
        const failure = await failureOf(Promise.resolve().then<unknown>(other));
        expect(failure).toBeInstanceOf(IllegalStateError);
        expect(String(failure)).toMatch(/a stream is open .*autocommit\.spec\.ts:\d+/);
      }
    }
    expect(names).toEqual(['one', 'two']);
    await connection.execute(insert('three'));
    expect(await connection.stream(NAMES).scalars().all()).toEqual(['one', 'three', 'two']);
    await connection.close();
  });

  it('works inside a block, too, and closing the connection ends it', async () => {
    const connection = await connected();
    await connection.execute(insert('one'));
    await connection.execute(insert('two'));
    await connection.begin();
    await connection.execute(VACUUM);
    const stream = connection.stream(NAMES, {}, { yieldPer: 1 });
    expect(await stream.fetchOne()).toEqual({ name: 'one' });
    await connection.close();
    expect(await items.names()).toEqual(['one', 'two']);
  });
});
