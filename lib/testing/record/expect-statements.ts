import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { IllegalStateError } from '../../engine/index.js';
import { expectArgument, expectFunction } from '../../engine/util/argument.js';
import { countRule } from '../../engine/util/option-rule.js';

const CHANNEL = 'nest-async-engine:beforeCursorExecute';

/**
 * Runs `work` and fails unless it has sent exactly `count` statements, on whatever engine. BEGIN, COMMIT and
 * savepoints are not counted; an executemany counts once. What runs beside `work` is not counted either.
 *
 * @throws IllegalStateError that lists the statements, ArgumentError for a wrong argument, and what `work`
 * throws.
 *
 * @example
 * ```ts
 * const all = await expectStatements(1, () => engine.execute(sql`SELECT * FROM items`).all());
 * ```
 */
export async function expectStatements<T>(count: number, work: () => Promise<T> | T): Promise<T> {
  expectArgument('expectStatements()', countRule(0), count);
  expectFunction('expectStatements()', work);
  const sent: string[] = [];
  const inside = new AsyncLocalStorage<true>();
  const listener = (event: unknown): void => {
    if (inside.getStore() === true) sent.push((event as { readonly sql: string }).sql);
  };
  subscribe(CHANNEL, listener);
  try {
    const result = await inside.run(true, work);
    if (sent.length === count) return result;
  } finally {
    unsubscribe(CHANNEL, listener);
  }
  const list = sent.map((text, index) => `\n${index + 1}. ${text}`).join('');
  throw new IllegalStateError(`${count} statements were expected, and ${sent.length} were sent:${list}`);
}
