import { describe, expect, it, vi } from 'vitest';
import { ArgumentError } from '../../../lib/engine/errors/errors.js';
import { AsyncResult } from '../../../lib/engine/result/async-result.js';
import { streamRows, type StreamRowsOptions } from '../../../lib/nest/http/stream-rows.js';
import { manyRows, MemoryRows } from '../../support/doubles/memory-rows.js';

describe('the headers', () => {
  const headersFor = (options: StreamRowsOptions) =>
    streamRows(new AsyncResult(new MemoryRows([], [])), options).getHeaders();

  it.each([
    ['ndjson', 'application/x-ndjson; charset=utf-8'],
    ['csv', 'text/csv; charset=utf-8'],
    ['json', 'application/json; charset=utf-8'],
  ] as const)('name the type of %s', (format, type) => {
    expect(headersFor({ format }).type).toBe(type);
  });

  it('say nothing about saving without a file name', () => {
    expect(headersFor({ format: 'csv' }).disposition).toBeUndefined();
  });

  it.each([
    ['report.csv', 'attachment; filename="report.csv"'],
    ['a "b" \\ c.csv', 'attachment; filename="a \\"b\\" \\\\ c.csv"'],
    ['naïve €.csv', `attachment; filename="na_ve _.csv"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.csv`],
    ['50%20.csv', `attachment; filename="50%20.csv"; filename*=UTF-8''50%2520.csv`],
    [
      "it's (1)*é.csv",
      `attachment; filename="it's (1)*_.csv"; filename*=UTF-8''it%27s%20%281%29%2A%C3%A9.csv`,
    ],
    [
      'a\r\nSet-Cookie: b',
      `attachment; filename="a__Set-Cookie: b"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20b`,
    ],
    ['😀', `attachment; filename="_"; filename*=UTF-8''%F0%9F%98%80`],
  ])('name the file %j', (filename, expected) => {
    expect(headersFor({ format: 'csv', filename }).disposition).toBe(expected);
  });

  it('refuse another format', () => {
    expect(() => headersFor({ format: 'xml' as 'csv' })).toThrow(ArgumentError);
  });
});

describe('a failure', () => {
  it('answers 500 to a failure before the first chunk', () => {
    const file = streamRows(new AsyncResult(manyRows(1)), { format: 'csv' }).setErrorLogger(() => undefined);
    const send = vi.fn<(body: string) => void>();
    const response = {
      destroyed: false,
      headersSent: false,
      statusCode: 200,
      send,
      end: vi.fn<() => void>(),
    };
    file.errorHandler(new ArgumentError('no'), response);
    expect([response.statusCode, send.mock.calls]).toEqual([500, [['Internal Server Error']]]);
  });

  it('destroys a response that has begun', () => {
    const file = streamRows(new AsyncResult(manyRows(1)), { format: 'csv' }).setErrorLogger(() => undefined);
    const destroy = vi.fn<() => void>();
    const response = {
      destroyed: false,
      headersSent: true,
      statusCode: 200,
      send: vi.fn<() => void>(),
      end: vi.fn<() => void>(),
      destroy,
    };
    file.errorHandler(new ArgumentError('no'), response);
    expect([destroy.mock.calls.length, response.end.mock.calls.length]).toEqual([1, 0]);
  });
});
