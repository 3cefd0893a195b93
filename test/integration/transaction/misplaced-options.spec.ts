import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Transactional, UseTransaction } from 'nest-async-engine';
import { ArgumentError, text, type AsyncEngine } from 'nest-async-engine/engine';
import { inTransaction } from 'nest-async-engine/rx';
import { EXECUTION_OPTIONS, STATEMENT_OPTIONS } from '../../../lib/engine/execution/execution-options.js';
import { transactionOptionRules } from '../../../lib/engine/transaction/isolation.js';
import { TRANSACTIONAL_OPTIONS } from '../../../lib/engine/ambient/transactional-options.js';
import { failureOf, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;

beforeAll(async () => {
  items = await ItemDatabase.open('misplaced_options');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const one = text('SELECT 1');
const work = async (): Promise<void> => undefined;
const with1 = (name: string): never => ({ [name]: 1 }) as never;

describe.each(
  Object.keys(STATEMENT_OPTIONS.rules).filter((name) => !Object.hasOwn(transactionOptionRules, name)),
)('an option of statements, %s, is not taken in silence by', (name) => {
  it.each<[string, (engine: AsyncEngine) => Promise<unknown>]>([
    ['engine.transaction()', (engine) => engine.transaction(work, with1(name))],
    ['engine.begin()', (engine) => engine.begin(work, with1(name))],
    ['inTransaction()', async (engine) => void inTransaction(engine, with1(name))],
    ['connection.begin()', (engine) => engine.connect((connection) => connection.begin(with1(name)))],
    ['@Transactional()', async () => void Transactional(with1(name))],
    ['@UseTransaction()', async () => void UseTransaction(with1(name))],
  ])('%s', async (_call, run) => {
    const failure = await failureOf(run(items.engine()));
    expect(failure).toBeInstanceOf(ArgumentError);
    expect((failure as Error).message).toContain(`'${name}'`);
  });
});

describe.each(
  Object.keys(TRANSACTIONAL_OPTIONS.rules).filter(
    (name) => !Object.hasOwn(STATEMENT_OPTIONS.rules, name) && !['label', 'server', 'retry'].includes(name),
  ),
)('an option of transactions, %s, is not taken in silence by', (name) => {
  it.each<[string, (engine: AsyncEngine) => Promise<unknown>]>([
    ['engine.execute()', async (engine) => await engine.execute(one, undefined, with1(name))],
    ['engine.stream()', async (engine) => await engine.stream(one, undefined, with1(name)).all()],
    [
      'connection.execute()',
      (engine) => engine.connect(async (connection) => await connection.execute(one, undefined, with1(name))),
    ],
  ])('%s', async (_call, run) => {
    const failure = await failureOf(run(items.engine()));
    expect(failure).toBeInstanceOf(ArgumentError);
    expect((failure as Error).message).toContain(name);
  });
});

describe.each([...EXECUTION_OPTIONS.names, ...Object.keys(EXECUTION_OPTIONS.misplaced)])(
  'an option of statements or transactions, %s, is not taken in silence by',
  (name) => {
    it('engine.scope()', async () => {
      const failure = await failureOf(items.engine().scope(work, with1(name)));
      expect(failure).toBeInstanceOf(ArgumentError);
      expect((failure as Error).message).toContain(`'${name}'`);
    });
  },
);

it('an engine is not chosen in silence by the options of engine.transaction()', async () => {
  const failure = await failureOf(items.engine().transaction(work, { engine: 'reports' } as never));
  expect(failure).toBeInstanceOf(ArgumentError);
  expect((failure as Error).message).toContain('@Transactional()');
});
