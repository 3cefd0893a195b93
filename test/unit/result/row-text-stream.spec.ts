import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { text as textOf } from 'node:stream/consumers';
import { Writable } from 'node:stream';
import { describe, expect, it, vi } from 'vitest';
import type { DriverRow } from '../../../lib/engine/driver/driver.js';
import { AsyncResult } from '../../../lib/engine/result/async-result.js';
import type { RowTextOptions } from '../../../lib/engine/result/text/row-format.js';
import { RowTextStream } from '../../../lib/engine/result/text/row-text-stream.js';
import { manyRows, MemoryRows } from '../../support/doubles/memory-rows.js';

const written = (
  names: readonly string[],
  rows: readonly DriverRow[],
  options: RowTextOptions,
): Promise<string> => textOf(new RowTextStream(new AsyncResult(new MemoryRows(names, rows)), options));
const valueAs = async (value: unknown, options: RowTextOptions): Promise<string> =>
  await written(['v'], [{ v: value }], options);

describe('NDJSON', () => {
  it('is an object per line', async () => {
    const rows = [
      { id: 1, name: 'a\nb' },
      { id: 2, name: null },
    ];
    expect(await written(['id', 'name'], rows, { format: 'ndjson' })).toBe(
      '{"id":1,"name":"a\\nb"}\n{"id":2,"name":null}\n',
    );
  });

  it('is empty without rows', async () => {
    expect(await written(['id'], [], { format: 'ndjson' })).toBe('');
  });

  it.each([
    ['a bigint', 9007199254740993n, '"9007199254740993"'],
    ['bytes', Buffer.from('hé'), '"aMOp"'],
    ['an array of bytes', [Buffer.from('a'), null], '["YQ==",null]'],
    ['an array of arrays of bigints', [[1n], [2n]], '[["1"],["2"]]'],
    ['numbers that JSON does not know', [NaN, -Infinity, [Infinity]], '["NaN","-Infinity",["Infinity"]]'],
    ['a date', new Date('2024-02-29T12:00:00.5Z'), '"2024-02-29T12:00:00.500Z"'],
    ['a date beside a bigint', [new Date(0), 1n], '["1970-01-01T00:00:00.000Z","1"]'],
    ['an object', { a: [1] }, '{"a":[1]}'],
  ])('writes %s', async (_, value, expected) => {
    expect(await valueAs(value, { format: 'ndjson' })).toBe(`{"v":${expected}}\n`);
  });
});

describe('JSON', () => {
  it('is one array', async () => {
    const text = await written(['id'], [{ id: 1 }, { id: 2 }], { format: 'json' });
    expect(JSON.parse(text)).toEqual([{ id: 1 }, { id: 2 }]);
  });

  it('is an empty array without rows', async () => {
    expect(JSON.parse(await written(['id'], [], { format: 'json' }))).toEqual([]);
  });

  it('is one array over many fetches and chunks', async () => {
    const rows = Array.from({ length: 5_000 }, (_, id) => ({ id, name: 'x'.repeat(100) }));
    expect(JSON.parse(await written(['id', 'name'], rows, { format: 'json' }))).toEqual(rows);
  });
});

describe('CSV', () => {
  it('begins with the names and ends each line in CRLF', async () => {
    const rows = [{ id: 1, 'full name': 'Ada' }];
    expect(await written(['id', 'full name'], rows, { format: 'csv' })).toBe('id,full name\r\n1,Ada\r\n');
  });

  it('has the names without rows, too', async () => {
    expect(await written(['id', 'a"b'], [], { format: 'csv' })).toBe('id,"a""b"\r\n');
  });

  it('leaves the names out when asked', async () => {
    expect(await written(['id'], [{ id: 1 }], { format: 'csv', header: false })).toBe('1\r\n');
  });

  it('begins with a byte order mark when asked', async () => {
    const stream = new RowTextStream(new AsyncResult(new MemoryRows(['id'], [])), {
      format: 'csv',
      byteOrderMark: true,
    });
    const chunks = await stream.toArray();
    expect(Buffer.concat(chunks).subarray(0, 3)).toEqual(Buffer.from([0xef, 0xbb, 0xbf]));
  });

  it('keeps columns with the same name apart', async () => {
    expect(await written(['id', 'id'], [[1, 2]], { format: 'csv' })).toBe('id,id\r\n1,2\r\n');
  });

  it.each([
    ['NULL', null, ''],
    ['an empty string', '', '""'],
    ['a comma', 'a,b', '"a,b"'],
    ['a quote', 'a"b', '"a""b"'],
    ['a line feed', 'a\nb', '"a\nb"'],
    ['a carriage return', 'a\rb', '"a\rb"'],
    ['blanks', ' a ', ' a '],
    ['a date', new Date(0), '1970-01-01T00:00:00.000Z'],
    ['an object', { a: 'b' }, '"{""a"":""b""}"'],
    ['an array', [1n, 2n], '"[""1"",""2""]"'],
    ['bytes', Buffer.from('hé'), 'aMOp'],
    ['a bigint', 9007199254740993n, '9007199254740993'],
    ['a boolean', false, 'false'],
    ['zero', 0, '0'],
    ['a formula', '=1+1', '=1+1'],
  ])('writes %s', async (_, value, expected) => {
    expect(await valueAs(value, { format: 'csv', header: false })).toBe(`${expected}\r\n`);
  });

  it.each([
    ['=1+1', `"'=1+1"`],
    ['@SUM(A1)', `"'@SUM(A1)"`],
    ['-2+3', `"'-2+3"`],
    ['\t=1', `"'\t=1"`],
    ['\n=1', `"'\n=1"`],
    ['  +1+1', `"'  +1+1"`],
    ['\u200b=1', `"'\u200b=1"`],
    ['\uff1d1', `"'\uff1d1"`],
    ['\uff0b1', `"'\uff0b1"`],
    ['\uff0d1', `"'\uff0d1"`],
    ['\uff201', `"'\uff201"`],
    ['=HYPERLINK("x","y")', '"\'=HYPERLINK(""x"",""y"")"'],
    ['a;=1', '"a;=1"'],
    ['a\t=1', '"a\t=1"'],
    [{ a: ';=1' }, '"{""a"":"";=1""}"'],
    [Buffer.from('fbe0', 'hex'), `"'++A="`],
    ['-1.5', '-1.5'],
    ['+49e3', '+49e3'],
    [-1.5, '-1.5'],
    [new Date(0), '1970-01-01T00:00:00.000Z'],
    ['a=1', '"a=1"'],
  ])('disarms %j as %j when asked', async (value, expected) => {
    const options = { format: 'csv', header: false, escapeFormulas: true } as const;
    expect(await valueAs(value, options)).toBe(`${expected}\r\n`);
  });
});

describe('the names of columns', () => {
  it('are disarmed as values are', async () => {
    const options = { format: 'csv', escapeFormulas: true } as const;
    expect(await written(['=1+1'], [], options)).toBe(`"'=1+1"\r\n`);
  });
});

describe('readTimeout', () => {
  const options = { format: 'ndjson', readTimeout: 20 } as const;

  it('closes the cursor of a stream whose reader takes nothing', async () => {
    const stream = new RowTextStream(new AsyncResult(manyRows(100_000)), options);
    const failed = once(stream, 'error');
    await once(stream, 'readable');
    expect(await failed).toEqual([expect.objectContaining({ name: 'ResourceClosedError' })]);
    expect(stream.closed || stream.destroyed).toBe(true);
  });

  it('does not count once the cursor has given its last row', async () => {
    const rows = manyRows(50);
    const stream = new RowTextStream(new AsyncResult(rows), options);
    await once(stream, 'readable');
    await vi.waitFor(() => expect(rows.releases).toBe(1));
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect((await textOf(stream)).match(/\n/g)).toHaveLength(50);
  });
});

describe('the stream', () => {
  it('fetches nothing before it is read', async () => {
    const rows = manyRows(10);
    const stream = new RowTextStream(new AsyncResult(rows), { format: 'csv' });
    stream.destroy();
    await once(stream, 'close');
    expect(rows.fetches).toBe(0);
  });

  it('puts many rows into one chunk', async () => {
    const stream = new RowTextStream(new AsyncResult(manyRows(1_000)), { format: 'ndjson' });
    expect(await stream.toArray()).toHaveLength(1);
  });

  it('sends what a fetch brought without waiting for the next', async () => {
    const stream = new RowTextStream(new AsyncResult(manyRows(40), { yieldPer: 10 }), {
      format: 'ndjson',
    });
    expect(await stream.toArray()).toHaveLength(4);
  });

  it('cuts wide rows into chunks of some 64 KiB', async () => {
    const rows = new MemoryRows(
      ['v'],
      Array.from({ length: 100 }, () => ({ v: 'x'.repeat(10_000) })),
    );
    const chunks: Buffer[] = await new RowTextStream(new AsyncResult(rows), { format: 'csv' }).toArray();
    expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThan(80_000);
  });

  it('stops fetching while nobody reads', async () => {
    const rows = manyRows(100_000);
    const result = new AsyncResult(rows, { yieldPer: 1_000 });
    const stream = new RowTextStream(result, { format: 'ndjson' });
    const full = new Promise<void>((resolve) => {
      const stuck = new Writable({ highWaterMark: 1, write: () => resolve() });
      stream.pipe(stuck);
    });
    await full;
    await vi.waitFor(() =>
      expect(stream.readableLength).toBeGreaterThanOrEqual(stream.readableHighWaterMark),
    );
    expect(rows.fetches).toBeLessThan(30);
    stream.destroy();
  });

  it('closes the cursor when it is destroyed', async () => {
    const rows = manyRows(100_000);
    const stream = new RowTextStream(new AsyncResult(rows), { format: 'ndjson' });
    await once(stream, 'readable');
    stream.destroy();
    await once(stream, 'close');
    expect(rows.releases).toBe(1);
  });

  it('fails with the error of a later fetch and never ends', async () => {
    const rows = manyRows(100);
    rows.failAt = 3;
    const stream = new RowTextStream(new AsyncResult(rows, { yieldPer: 10 }), { format: 'csv' });
    const onEnd = vi.fn<() => void>();
    stream.on('end', onEnd).resume();
    const [error] = await once(stream, 'error').catch((failure: unknown) => [failure]);
    expect(error).toMatchObject({ message: 'the cursor broke' });
    expect(onEnd).not.toHaveBeenCalled();
  });
});
