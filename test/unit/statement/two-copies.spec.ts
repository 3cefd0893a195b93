import { describe, expect, it, vi } from 'vitest';
import { DBAPIError, EngineError, InvalidRequestError } from '../../../lib/engine/errors/errors.js';
import * as errors from '../../../lib/engine/errors/server-errors.js';
import { jsonText } from '../../../lib/engine/driver/pg/wire/json-text.js';
import * as engine from '../../../lib/engine/index.js';
import { fromQuery } from '../../../lib/rx/index.js';
import { compileStatement } from '../../../lib/engine/statement/compile.js';
import { sql } from '../../../lib/engine/statement/sql.js';
import { text } from '../../../lib/engine/statement/text.js';

// Without its cache, the loader makes a second copy of each module: what two installed versions are to each other.
async function secondCopy(): Promise<typeof errors & { sql: typeof sql; text: typeof text }> {
  vi.resetModules();
  const [others, sqls, texts] = await Promise.all([
    import('../../../lib/engine/errors/server-errors.js'),
    import('../../../lib/engine/statement/sql.js'),
    import('../../../lib/engine/statement/text.js'),
  ]);
  return { ...others, sql: sqls.sql, text: texts.text };
}

describe('two copies of the package in one process', () => {
  it.each(['sql', 'text'] as const)('refuse a statement by %s of the other, and say why', async (maker) => {
    const second = await secondCopy();
    const statement = maker === 'sql' ? second.sql`SELECT 1` : second.text('SELECT 1');
    expect(() => compileStatement(statement as ReturnType<typeof text>)).toThrow(
      /another copy of nest-async-engine/,
    );
  });

  const url = 'postgresql://localhost/shop';
  it.each<[string, (second: typeof engine) => unknown]>([
    ['a URL', (second) => engine.createAsyncEngine(second.makeUrl(url) as never)],
    [
      'a pool',
      (second) => engine.createAsyncEngine(url, { pool: second.createAsyncPoolFromUrl(url) as never }),
    ],
    ['a class of pools', (second) => engine.createAsyncEngine(url, { poolClass: second.NullPool as never })],
    ['a bind', (second) => text('SELECT :a').bindparams(second.bindparam('a', { value: 1 }))],
    ['a separator', (second) => sql.join([1, 2], second.sql`, ` as never)],
    ['a part of a statement', (second) => jsonText(second.sql`id = 1`, undefined)],
    ['a part in a list', (second) => jsonText([second.sql`id = 1`], undefined)],
    ['an engine', (second) => fromQuery(second.createAsyncEngine(url) as never, text('SELECT 1'))],
    [
      'a stream',
      (second) =>
        new engine.RowTextStream(second.createAsyncEngine(url).stream(second.text('SELECT 1')) as never, {
          format: 'csv',
        }),
    ],
  ])('refuse %s of the other, and say why', async (_, use) => {
    vi.resetModules();
    const second = await import('../../../lib/engine/index.js');
    expect(() => use(second)).toThrow(/another copy of nest-async-engine: install one version/);
  });

  it('know the errors of each other by their classes, and by those above them', async () => {
    const second = await secondCopy();
    const theirs = new second.UniqueViolationError('a message');
    expect(Object.getPrototypeOf(theirs)).not.toBe(errors.UniqueViolationError.prototype);
    for (const Class of [errors.UniqueViolationError, errors.IntegrityError, DBAPIError, EngineError])
      expect(theirs).toBeInstanceOf(Class);
    for (const Class of [errors.DataError, InvalidRequestError, RangeError])
      expect(theirs).not.toBeInstanceOf(Class);
  });

  it('take no error of an application for one of theirs, whatever its name is', () => {
    class DataError extends EngineError {}
    class Mine extends errors.DataError {}
    expect(new errors.DataError('ours')).not.toBeInstanceOf(DataError);
    expect(new Mine('mine')).toBeInstanceOf(errors.DataError);
    expect(new errors.DataError('ours')).not.toBeInstanceOf(Mine);
    expect({ name: 'DataError' }).not.toBeInstanceOf(errors.DataError);
  });
});
