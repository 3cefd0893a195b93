import { CompiledCache, sql, text } from 'nest-async-engine/engine';
import { expect, it } from 'vitest';
import { compileStatement } from '../../../lib/engine/statement/compile.js';

it.each([
  ['text()', (sqlText: string) => text(sqlText)],
  ['sql', (sqlText: string) => sql`${sql.raw(sqlText)}`],
])('keeps no form of a long text: %s', (_kind, make) => {
  const cache = new CompiledCache();
  for (let index = 0; index < 20; index += 1)
    compileStatement(make(`SELECT ${index} /* ${'x'.repeat(100_000)} */`), undefined, cache);
  expect(cache.size).toBe(0);
  compileStatement(text('SELECT :one'), { one: 1 }, cache);
  expect(cache.size).toBe(1);
});
