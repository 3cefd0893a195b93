import { describe, expect, it, vi } from 'vitest';
import { DBAPIError, EngineError, InvalidRequestError } from '../../../lib/engine/errors/errors.js';
import * as errors from '../../../lib/engine/errors/server-errors.js';
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
