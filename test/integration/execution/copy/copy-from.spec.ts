import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  EngineError,
  NestedScopeBusyError,
  QueryCanceledError,
  sql,
  TransactionEndedError,
  TransactionTimeoutError,
  UniqueViolationError,
  type CopyInput,
  type CopyProgress,
} from 'nest-async-engine/engine';
import { failureOf, insert, ItemDatabase } from '../../../support/items.js';
import { Latch } from '../../../support/process/barrier.js';

const COPY = 'COPY item FROM STDIN';

/** A stream of rows that waits, after the first one, for the given promise. */
async function* pausing(until: Promise<unknown>): AsyncGenerator<string> {
  yield 'first\t1\n';
  await until;
  yield 'second\t2\n';
}

describe('copyFrom', () => {
  let items: ItemDatabase;

  beforeAll(async () => {
    items = await ItemDatabase.open('copy_from');
  });
  afterEach(() => items.expectClean());
  afterAll(() => items.close());

  it.each<[string, () => CopyInput]>([
    ['a string', () => 'a\t1\nb\t2\n'],
    ['bytes', () => Buffer.from('a\t1\nb\t2\n')],
    ['an array of both', () => ['a\t1', '\nb', new Uint8Array(Buffer.from('\t2\n'))]],
    ['a Node stream', () => Readable.from(['a\t1\n', 'b\t2\n'])],
    ['a web stream', () => new Blob(['a\t1\nb\t2\n']).stream()],
    ['an async generator', () => pausing(Promise.resolve())],
  ])('stores the rows of %s', async (_, input) => {
    expect(await items.engine().copyFrom(COPY, input())).toEqual({ rowCount: 2 });
    expect(await items.names()).toHaveLength(2);
  });

  it('stores an emoji whose halves come in two texts', async () => {
    const halves = 'a😀\t1\nb😀\t2\n'.split('');
    expect(await items.engine().copyFrom(COPY, halves)).toEqual({ rowCount: 2 });
    expect(await items.names()).toEqual(['a😀', 'b😀']);
  });

  it.each<[string, CopyInput]>([
    ['at the end of its rows', ['a\t1\nb\ud83d']],
    ['in front of bytes', ['a\ud83d', Buffer.from('\t1\n')]],
    ['in the middle of a text', 'a\ud83db\t1\n'],
    ['that is the second one', 'a\ude00\t1\n'],
  ])('refuses half of an emoji %s, and stores nothing', async (_where, input) => {
    expect(await failureOf(items.engine().copyFrom(COPY, input))).toBeInstanceOf(ArgumentError);
    expect(await items.names()).toEqual([]);
  });

  it('stores no rows of an empty source', async () => {
    expect(await items.engine().copyFrom(COPY, [])).toEqual({ rowCount: 0 });
  });

  it('takes CSV and the binary format', async () => {
    const engine = items.engine();
    const csv = 'COPY item FROM STDIN (FORMAT csv, HEADER)';
    await engine.copyFrom(csv, 'name,place\n"with, comma",1\n');
    const binary: Buffer[] = await engine.copyTo('COPY item TO STDOUT (FORMAT binary)').toArray();
    await engine.execute(sql`DELETE FROM item`);
    expect(await engine.copyFrom('COPY item FROM STDIN (FORMAT binary)', binary)).toEqual({ rowCount: 1 });
    expect(await items.names()).toEqual(['with, comma']);
  });

  it('takes a statement with names of its own', async () => {
    const rowCount = await items.engine().copyFrom(sql`COPY ${sql.id('item')} (name) FROM STDIN`, 'x\n');
    expect(rowCount).toEqual({ rowCount: 1 });
  });

  it('is undone with the transaction around it, and so is a savepoint alone', async () => {
    const engine = items.engine();
    const failure = new RangeError('mine');
    await expect(
      engine.transaction(async () => {
        await engine.copyFrom(COPY, 'undone\t1\n');
        throw failure;
      }),
    ).rejects.toBe(failure);
    await engine.transaction(async () => {
      await engine.copyFrom(COPY, 'kept\t1\n');
      await engine
        .transaction(async () => {
          await engine.copyFrom(COPY, 'undone\t2\n');
          throw failure;
        })
        .catch(() => undefined);
    });
    expect(await items.names()).toEqual(['kept']);
  });

  it('runs on a connection and in its transaction', async () => {
    await items.engine().connect(async (connection) => {
      await connection.copyFrom(COPY, 'undone\t1\n');
      expect(connection.inTransaction()).toBe(true);
      await connection.rollback();
      await connection.copyFrom(COPY, 'kept\t1\n');
      await connection.commit();
    });
    expect(await items.names()).toEqual(['kept']);
  });

  it('gives the error of its source, stores nothing, and the connection works on', async () => {
    const engine = items.engine();
    const pid = await engine.scalar(sql`SELECT pg_backend_pid()`);
    const failure = new RangeError('the disk is gone');
    const source = async function* (): AsyncGenerator<string> {
      yield 'lost\t1\n';
      throw failure;
    };
    await expect(engine.copyFrom(COPY, source())).rejects.toBe(failure);
    await expect(engine.copyFrom(COPY, createReadStream('/missing'))).rejects.toMatchObject({
      code: 'ENOENT',
    });
    expect(await engine.scalar(sql`SELECT pg_backend_pid()`)).toBe(pid);
    expect(await items.names()).toEqual([]);
  });

  it('fails its transaction where its source fails', async () => {
    const engine = items.engine();
    const failure = new RangeError('mine');
    const work = engine.transaction(async () => {
      await engine
        .copyFrom(
          COPY,
          Readable.from(['a\t1\n']).map(() => Promise.reject(failure)),
        )
        .catch(() => 0);
      await engine.execute(insert('behind it'));
    });
    expect(await failureOf(work)).toMatchObject({ sqlState: '25P02' });
  });

  it('ends its source at the first row that the server refuses', async () => {
    const engine = items.engine();
    await engine.execute(insert('there'));
    const ended = new Latch();
    const source = (function* (): Generator<string> {
      try {
        for (let row = 0; ; row += 1) yield row === 3 ? 'there\t\\N\n' : `new ${row}\t\\N\n`;
      } finally {
        ended.open();
      }
    })();
    await expect(engine.copyFrom(COPY, source)).rejects.toBeInstanceOf(UniqueViolationError);
    await ended.opened;
    expect(await items.names()).toEqual(['there']);
  });

  it('destroys a stream whose rows are not wanted, and refuses a statement before it takes any', async () => {
    const engine = items.engine();
    const stream = Readable.from(['a\t1\n']);
    await expect(engine.copyFrom('COPY missing FROM STDIN', stream)).rejects.toMatchObject({
      sqlState: '42P01',
    });
    expect(stream.destroyed).toBe(true);
  });

  it.each<[unknown, string]>([
    ['SELECT 1', 'another statement'],
    ['COPY item TO STDOUT', 'COPY item TO STDOUT'],
    ["COPY item FROM '/etc/hosts'", 'a file of the server'],
    [sql`COPY item FROM STDIN WHERE name <> ${'x'}`, 'a parameter'],
    [42, 'a number'],
  ])('refuses $1', async (statement) => {
    const engine = items.engine();
    const stream = Readable.from(['a\t1\n']);
    await expect(engine.copyFrom(statement as string, stream)).rejects.toBeInstanceOf(EngineError);
    expect(stream.destroyed).toBe(true);
    expect(engine.pool.checkedOut()).toBe(0);
  });

  it.each([42, null, {}, Promise.resolve('a\n')])('refuses rows that are %s', async (source) => {
    await expect(items.engine().copyFrom(COPY, source as unknown as string)).rejects.toBeInstanceOf(
      ArgumentError,
    );
  });

  it('refuses chunks that are neither text nor bytes', async () => {
    const failure = await failureOf(items.engine().copyFrom(COPY, [{ name: 'a' }] as unknown as string[]));
    expect(failure).toBeInstanceOf(ArgumentError);
    expect(await items.names()).toEqual([]);
  });

  it('is canceled by its signal and by its timeout while its source gives nothing', async () => {
    const engine = items.engine();
    const never = new Promise<void>(() => undefined);
    const abort = new AbortController();
    const copy = engine.copyFrom(COPY, pausing(never), { signal: abort.signal });
    setTimeout(() => abort.abort(), 50);
    await expect(copy).rejects.toBeInstanceOf(QueryCanceledError);
    await expect(engine.copyFrom(COPY, pausing(never), { timeout: 50 })).rejects.toBeInstanceOf(
      QueryCanceledError,
    );
    await expect(
      engine.transaction(() => engine.copyFrom(COPY, pausing(never)), { timeout: 50 }),
    ).rejects.toBeInstanceOf(TransactionTimeoutError);
    expect(await engine.scalar(sql`SELECT 1`)).toBe(1);
    expect(await items.names()).toEqual([]);
  });

  it('runs beside other statements of its transaction, one after the other', async () => {
    const engine = items.engine();
    await engine.transaction(async () => {
      await engine.execute(insert('before'));
      await Promise.all([
        engine.copyFrom(COPY, ['a\t1\n']),
        engine.execute(insert('beside')),
        engine.copyFrom(COPY, ['b\t2\n']),
      ]);
    });
    expect(await items.names()).toEqual(['a', 'b', 'before', 'beside']);
  });

  it.each([true, false])('ends a wait for itself, with BEGIN in front of it: %s', async (isFirst) => {
    const engine = items.engine({ nestedWaitTimeout: 100 });
    const source = async function* (): AsyncGenerator<string> {
      yield 'a\t1\n';
      await engine.execute(sql`SELECT 1`);
    };
    const work = engine.transaction(async () => {
      if (!isFirst) await engine.execute(insert('before'));
      await engine.copyFrom(COPY, source());
    });
    await expect(work).rejects.toBeInstanceOf(NestedScopeBusyError);
    expect(await items.names()).toEqual([]);
  });

  it('pulls its rows in the async context of its caller', async () => {
    const engine = items.engine({ poolSize: 2 });
    const seen: unknown[] = [];
    const source = async function* (): AsyncGenerator<string> {
      seen.push(engine.tryCurrentConnection());
      yield 'a\t1\n';
    };
    await engine.transaction(async () => {
      await engine.copyFrom(COPY, source());
      expect(seen).toEqual([engine.currentConnection()]);
    });
  });

  it('tells its progress after each MiB and at the end', async () => {
    const engine = items.engine();
    const told: CopyProgress[] = [];
    engine.on('copyProgress', ({ sql: text, direction, bytes, rows, isDone }) => {
      told.push({ sql: text, direction, bytes, rows, isDone });
    });
    const line = (row: number): string => `${String(row).padStart(997, '0')}\t\\N\n`;
    const lines = (function* (): Generator<string> {
      for (let row = 0; row < 2_500; row += 1) yield line(row);
    })();
    await engine.copyFrom(COPY, lines);
    expect(told.map(({ isDone }) => isDone)).toEqual([false, false, true]);
    expect(told.at(-1)).toEqual({
      sql: COPY,
      direction: 'from',
      bytes: 2_502_500,
      rows: 2_500,
      isDone: true,
    });
    expect(told[0]?.rows).toBe(Math.floor((told[0]?.bytes ?? 0) / 1_001));
  });

  it('fails where a listener of its progress throws', async () => {
    const engine = items.engine();
    engine.on('copyProgress', () => {
      throw new RangeError('no');
    });
    const large = 'x'.repeat(1_100_000);
    await expect(engine.copyFrom('COPY item (name) FROM STDIN', `${large}\n`)).rejects.toThrow('no');
    expect(await items.names()).toEqual([]);
  });

  it('emits the events of a statement', async () => {
    const engine = items.engine();
    const seen: unknown[] = [];
    engine.on(
      'afterExecute',
      ({ rowCount, statement }) => void seen.push([(statement as { text: string }).text, rowCount]),
    );
    await engine.copyFrom(COPY, 'a\t1\n');
    expect(seen).toEqual([[COPY, 1]]);
  });

  it('runs on an AUTOCOMMIT connection', async () => {
    const engine = items.engine({ isolationLevel: 'AUTOCOMMIT' });
    await engine.connect((connection) => connection.copyFrom(COPY, 'a\t1\n'));
    await engine.copyFrom(COPY, 'b\t2\n');
    expect(await items.names()).toEqual(['a', 'b']);
  });

  it('is left alone by socketTimeout while its source is slow', async () => {
    const engine = items.engine({ socketTimeout: 100 });
    const later = new Promise((resolve) => setTimeout(resolve, 400));
    expect(await engine.copyFrom(COPY, pausing(later))).toEqual({ rowCount: 2 });
  });

  it('is refused in a transaction that has ended', async () => {
    const engine = items.engine();
    let late: Promise<unknown> = Promise.resolve();
    const go = new Latch();
    await engine.transaction(async () => {
      late = go.opened.then(() => engine.copyFrom(COPY, 'a\t1\n'));
      await engine.execute(sql`SELECT 1`);
    });
    go.open();
    expect(await failureOf(late)).toBeInstanceOf(TransactionEndedError);
    expect(await items.names()).toEqual([]);
  });
});
