import { once } from 'node:events';
import { PassThrough, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { text as readText } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  NestedScopeBusyError,
  QueryCanceledError,
  ResourceClosedError,
  sql,
  TransactionEndedError,
  type AsyncConnection,
  type AsyncEngine,
  type CopyProgress,
} from 'nest-async-engine/engine';
import { failureOf, insert, ItemDatabase } from '../../../support/items.js';
import { eventually } from '../../../support/process/barrier.js';

/** More than all buffers between the server and the stream hold. */
const ENDLESS = `COPY (SELECT repeat('x', 1000), generate_series(1, 100000000)) TO STDOUT`;

describe('copyTo', () => {
  let items: ItemDatabase;

  /** The next statement finds the connection free, and it is still the same one. */
  const expectFree = async (engine: AsyncEngine, pid: unknown): Promise<void> => {
    expect(await engine.scalar(sql`SELECT pg_backend_pid()`)).toBe(pid);
    expect(engine.pool.checkedOut()).toBe(0);
  };
  const pidOf = (engine: AsyncEngine): Promise<unknown> => engine.scalar(sql`SELECT pg_backend_pid()`);

  beforeAll(async () => {
    items = await ItemDatabase.open('copy_to');
  });
  afterEach(() => items.expectClean());
  afterAll(() => items.close());

  it('gives what the server writes, and how many rows that were', async () => {
    const engine = items.engine();
    await engine.copyFrom('COPY item FROM STDIN', 'a\t1\nb\t2\n');
    const stream = engine.copyTo('COPY (TABLE item ORDER BY name) TO STDOUT (FORMAT csv, HEADER)');
    expect(await readText(stream)).toBe('name,place\na,1\nb,2\n');
    expect(stream.rowCount).toBe(2);
    expect(engine.pool.checkedOut()).toBe(0);
  });

  it('gives nothing of an empty table', async () => {
    expect(await readText(items.engine().copyTo('COPY item TO STDOUT'))).toBe('');
  });

  it('takes no connection before it is read', async () => {
    const engine = items.engine();
    const stream = engine.copyTo(ENDLESS);
    expect(engine.pool.size()).toBe(1);
    expect(engine.pool.checkedOut()).toBe(0);
    stream.destroy();
    await once(stream, 'close');
  });

  it('runs in the transaction in which it was made', async () => {
    const engine = items.engine();
    await engine.transaction(async () => {
      await engine.execute(insert('mine'));
      expect(await readText(engine.copyTo('COPY item (name) TO STDOUT'))).toBe('mine\n');
      await engine.execute(insert('behind'));
    });
    expect(await items.names()).toEqual(['behind', 'mine']);
  });

  it('is refused where that transaction has ended', async () => {
    const engine = items.engine();
    const stream = await engine.transaction(async () => engine.copyTo('COPY item TO STDOUT'));
    expect(await failureOf(readText(stream))).toBeInstanceOf(TransactionEndedError);
  });

  it('gives the connection back when its reader leaves the loop', async () => {
    const engine = items.engine();
    const pid = await pidOf(engine);
    for await (const chunk of engine.copyTo(ENDLESS)) {
      expect(chunk).toBeInstanceOf(Buffer);
      break;
    }
    await expectFree(engine, pid);
  });

  it('is closed when the connection was given back', async () => {
    const engine = items.engine();
    const stream = engine.copyTo(ENDLESS);
    await once(stream, 'readable');
    stream.destroy();
    await once(stream, 'close');
    expect(engine.pool.checkedOut()).toBe(0);
  });

  it('gives the connection back when its reader fails or takes nothing any more', async () => {
    const engine = items.engine();
    const pid = await pidOf(engine);
    const failing = new Writable({ write: (_chunk, _encoding, done) => done(new RangeError('full')) });
    await expect(pipeline(engine.copyTo(ENDLESS), failing)).rejects.toThrow('full');
    await expectFree(engine, pid);
    const stalled = engine.copyTo(ENDLESS, { readTimeout: 50 });
    await once(stalled, 'readable');
    const [failure] = (await once(stalled, 'error')) as [unknown];
    expect(failure).toBeInstanceOf(ResourceClosedError);
    await expectFree(engine, pid);
  });

  it('reads no more from the server than its reader takes', async () => {
    const engine = items.engine();
    const stream = engine.copyTo(ENDLESS);
    await once(stream, 'readable');
    const [copying] = await eventually(async () => {
      const sessions = await items.database.sessions();
      expect(sessions.map(({ wait_event_type: wait }) => wait)).toEqual(['Client']);
      return sessions;
    });
    expect(copying?.query).toBe(ENDLESS);
    expect(stream.readableLength).toBeLessThan(1_000_000);
    stream.destroy();
    await once(stream, 'close');
  });

  it.each<[string, (abort: AbortController, connection: AsyncConnection) => unknown]>([
    ['its signal', (abort) => abort.abort()],
    ['connection.cancel()', (_, connection) => connection.cancel()],
  ])('is canceled by %s', async (_, cancel) => {
    const abort = new AbortController();
    await items.engine().connect(async (connection) => {
      const stream = connection.copyTo(ENDLESS, { signal: abort.signal });
      await once(stream, 'readable');
      const failure = failureOf(readText(stream));
      await cancel(abort, connection);
      expect(await failure).toBeInstanceOf(QueryCanceledError);
      await connection.rollback();
      expect(await connection.scalar(sql`SELECT 1`)).toBe(1);
      await connection.rollback();
    });
  });

  it('ends with the error of the server, before and behind its first rows', async () => {
    const engine = items.engine();
    const failing = 'COPY (SELECT 1 / (3 - n) FROM generate_series(1, 9) n) TO STDOUT';
    await expect(readText(engine.copyTo('COPY missing TO STDOUT'))).rejects.toMatchObject({
      sqlState: '42P01',
    });
    await expect(readText(engine.copyTo(failing))).rejects.toMatchObject({ sqlState: '22012' });
    expect(await engine.scalar(sql`SELECT 1`)).toBe(1);
  });

  it('ends when its session is lost', async () => {
    const engine = items.engine();
    const stream = engine.copyTo(ENDLESS);
    await once(stream, 'readable');
    await items.database.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = $1', [
      ENDLESS,
    ]);
    expect(await failureOf(readText(stream))).toMatchObject({ connectionInvalidated: true });
    expect(await engine.scalar(sql`SELECT 1`)).toBe(1);
  });

  it('ends a wait for itself in its own loop', async () => {
    const engine = items.engine({ nestedWaitTimeout: 100 });
    const work = engine.transaction(async () => {
      for await (const chunk of engine.copyTo(ENDLESS))
        await engine.execute(sql`SELECT ${chunk.length}::int`);
    });
    expect(await failureOf(work)).toBeInstanceOf(NestedScopeBusyError);
  });

  it('copies from one connection to another', async () => {
    const engine = items.engine({ poolSize: 2 });
    await engine.execute(insert('a'));
    await engine.execute(sql`CREATE TABLE IF NOT EXISTS item_copy (LIKE item)`);
    const { rowCount } = await engine.copyFrom(
      'COPY item_copy FROM STDIN',
      engine.copyTo('COPY item TO STDOUT'),
    );
    expect(rowCount).toBe(1);
    await engine.execute(sql`DROP TABLE item_copy`);
  });

  it('waits for a connection no longer than its options say, and leaves the line when it is destroyed', async () => {
    const engine = items.engine({ poolTimeout: 30_000 });
    await engine.connect(async () => {
      const late = engine.copyTo('COPY item TO STDOUT', { timeout: 50 });
      expect(await failureOf(readText(late))).toBeInstanceOf(QueryCanceledError);
      const left = engine.copyTo('COPY item TO STDOUT');
      left.resume();
      await eventually(() => expect(engine.pool.waiting()).toBe(1));
      left.destroy();
      await once(left, 'close');
      expect(engine.pool.waiting()).toBe(0);
    });
  });

  it('tells its progress', async () => {
    const engine = items.engine();
    const told: CopyProgress[] = [];
    engine.on('copyProgress', ({ sql: text, direction, bytes, rows, isDone }) => {
      told.push({ sql: text, direction, bytes, rows, isDone });
    });
    const copy = `COPY (SELECT repeat('x', 1023) FROM generate_series(1, 2500)) TO STDOUT`;
    await pipeline(engine.copyTo(copy), new PassThrough().resume());
    expect(told.at(-1)).toEqual({ sql: copy, direction: 'to', bytes: 2_560_000, rows: 2_500, isDone: true });
    expect(told.map(({ isDone }) => isDone)).toEqual([false, false, true]);
  });

  it.each(['SELECT 1', 'COPY item FROM STDIN', "COPY item TO '/tmp/x'"])(
    'refuses %s at once',
    (statement) => {
      expect(() => items.engine().copyTo(statement)).toThrow(ArgumentError);
    },
  );

  it('is a Readable', () => {
    expect(items.engine().copyTo('COPY item TO STDOUT')).toBeInstanceOf(Readable);
  });
});
