import { Logger } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { format, inspect } from 'node:util';
import { IllegalStateError, StatementError, text } from 'nest-async-engine/engine';
import type { AsyncEngine, AsyncEngineOptions } from 'nest-async-engine/engine';
import { parameterSetsText, parametersText, valueText } from '../../lib/engine/errors/parameter-text.js';
import { NestLogger } from '../../lib/nest/shared/nest-logger.js';
import { LogLines } from '../support/doubles/log-lines.js';
import { failureOf, insert, ItemDatabase } from '../support/items.js';

let items: ItemDatabase;
let logger: LogLines;
let engine: AsyncEngine;

const engineWith = (options: AsyncEngineOptions): AsyncEngine => items.engine({ logger, ...options });

beforeAll(async () => {
  items = await ItemDatabase.open('logging');
});
beforeEach(() => {
  logger = new LogLines();
  engine = engineWith({ echo: true });
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

describe('parameters in the log', () => {
  it('LG-01: of 100 sets the first eight and the last two are shown, with a notice between', async () => {
    const sets = numbers(100).map((place) => ({ place, name: `n${place}` }));
    await engine.execute(text('INSERT INTO item (name, place) VALUES (:name, :place)'), sets);
    const line = logger.lines.find(({ fields }) => fields?.event === 'parameters')?.message ?? '';
    expect(line).toContain(
      "['n0', 0], ['n1', 1], ['n2', 2], ['n3', 3], ['n4', 4], ['n5', 5], ['n6', 6], ['n7', 7], … 10 of 100 sets shown …, ['n98', 98], ['n99', 99]]",
    );
  });

  it('LG-02: hideParameters puts a notice in the place of values, in the text and in the fields', async () => {
    const hiding = engineWith({ echo: true, hideParameters: true });
    await hiding.execute(text('SELECT :a::text'), { a: 'secret' });
    expect(logger.lines.some(({ message }) => message.includes('[hidden by hideParameters]'))).toBe(true);
    expect(inspect(logger.lines, { depth: 9 })).not.toContain('secret');
  });

  it('LG-03: a list that is one parameter of two is shown as one nested list', async () => {
    const statement = text('SELECT :a::text, :list::text[] FROM missing_table');
    const error = await failureOf(engine.execute(statement, { a: 'x', list: ['1', '2'] }));
    expect(logger.take().at(-1)).toBe("[generated in …s] ['x', ['1', '2']]");
    expect(String(error)).toContain("[parameters: ['x', ['1', '2']]]");
  });

  it('LG-04: ten named values are whole, of 800 the middle 700 are left out', () => {
    const named = (count: number) => Object.fromEntries(numbers(count).map((index) => [`k${index}`, index]));
    expect(parametersText(named(10))).toBe(
      `{${numbers(10)
        .map((index) => `k${index}: ${index}`)
        .join(', ')}}`,
    );
    const huge = parametersText(named(800));
    expect(huge).toMatch(/^\{k0: 0, .*k49: 49, … 700 values left out …, k750: 750, .*k799: 799\}$/);
  });

  it('LG-07: a value is cut to 300 characters of its text, from the middle', () => {
    const long = valueText('x'.repeat(5_000));
    expect(long).toBe(`'${'x'.repeat(149)} … (4702 characters left out) … ${'x'.repeat(149)}'`);
    expect(valueText('x'.repeat(200))).toBe(`'${'x'.repeat(200)}'`);
    expect(valueText('x'.repeat(670))).toContain('(372 characters left out)');
  });

  it('LG-10: rows of echo debug are cut the same way', async () => {
    engine.echo = 'debug';
    await engine.execute(text("SELECT repeat('x', 5000) AS long")).all();
    expect(logger.take().at(-1)).toBe(
      `Row ('${'x'.repeat(149)} … (4702 characters left out) … ${'x'.repeat(149)}')`,
    );
  });
});

describe('parameters in errors', () => {
  it('LG-08: the text has the message, the SQL and the parameters', async () => {
    const error = await failureOf(engine.execute(text('SELECT 1 / :n::int'), { n: 0 }));
    expect(String(error)).toBe('DataError: division by zero\n[SQL: SELECT 1 / $1::int]\n[parameters: [0]]');
    expect(inspect(error)).toContain('[parameters: [0]]');
  });

  it('LG-08: without an echo the values stay in the error and out of its text', async () => {
    const silent = engineWith({});
    const error = await failureOf(silent.execute(text('SELECT 1 / :n::int'), { n: 0 }));
    expect(String(error)).toBe('DataError: division by zero\n[SQL: SELECT 1 / $1::int]');
    expect((error as StatementError).parameters).toEqual([0]);
  });

  it('LG-08: no logger prints the values of an error without an echo', async () => {
    const silent = engineWith({});
    const values = { n: 0, s: 'secret' };
    const error = await failureOf(silent.execute(text('SELECT 1 / :n::int, :s::text'), values));
    expect((error as StatementError).parameters).toEqual([0, 'secret']);
    const printed = [inspect(error, { depth: 9 }), JSON.stringify(error), format('%s %o', error, error)];
    expect(printed.filter((line) => line.includes('secret'))).toEqual([]);
  });

  it('LG-09: hideParameters hides them in an error of the server and of a missing bind', async () => {
    const hiding = engineWith({ echo: true, hideParameters: true });
    const server = await failureOf(
      hiding.execute(text('SELECT 1 / :n::int, :s::text'), { n: 0, s: 'secret' }),
    );
    const bind = await failureOf(hiding.execute(text('SELECT :a, :b'), { a: 'secret' }));
    expect([server, bind].map((error) => String(error).split('\n').at(-1))).toEqual([
      '[parameters: [hidden by hideParameters]]',
      '[parameters: [hidden by hideParameters]]',
    ]);
    expect(`${inspect(server)}${inspect(bind)}${JSON.stringify([server, bind])}`).not.toContain('secret');
  });

  it('LG-11: many values are cut in an error as in the log', async () => {
    const values = numbers(200);
    const error = await failureOf(
      engine.execDriverSql(`SELECT 1 / 0, ${values.map((n) => `$${n + 1}::int`).join()}`, values),
    );
    expect(String(error)).toContain('49, … 100 values left out …, 150');
    const sets = numbers(3).map((n) => ({ n: n - 1, s: 'x'.repeat(5_000) }));
    const statement = text('UPDATE item SET name = :s WHERE place = 1 / :n::int');
    const many = (await failureOf(engine.execute(statement, sets))) as StatementError;
    expect(many.parameters).toEqual([sets[1]?.s, 0]);
    expect(String(many)).toContain(`[parameters: ['${'x'.repeat(149)} … (4702 characters left out) … `);
    expect(parameterSetsText(numbers(100).map((n) => [n]))).toContain('… 10 of 100 sets shown …');
  });
});

describe('the lines of the pool', () => {
  it('LG-12: echoPool debug follows a connection from its opening to its end', async () => {
    const pooled = engineWith({ echoPool: 'debug' });
    for (let cycle = 0; cycle < 2; cycle += 1) {
      const connection = await pooled.connect();
      await connection.execute(text('SELECT 1'));
      await connection.close();
    }
    await pooled.dispose();
    expect(logger.lines.map(({ fields }) => fields?.event)).toEqual([
      'connect',
      'checkout',
      'return',
      'reset',
      'checkout',
      'return',
      'reset',
      'dispose',
      'close',
    ]);
    expect(logger.lines[0]?.fields?.logger).toBe('QueuePool');
    const resets = logger.lines.filter(({ fields }) => fields?.event === 'reset');
    expect(resets.map(({ message }) => message)).toEqual([
      'nothing to reset on return',
      'nothing to reset on return',
    ]);
  });

  it('LG-12: a transaction that is open at the return is rolled back, and that is said', async () => {
    const pooled = engineWith({ echoPool: 'debug' });
    const raw = await pooled.rawConnection();
    await raw.session.execute([], { text: 'BEGIN' });
    await raw.close();
    expect(logger.take()).toContain('rollback on return');
  });
});

describe('names', () => {
  it('LG-13: loggingName and poolLoggingName are in the fields of their lines, also after dispose', async () => {
    const named = engineWith({ echo: true, echoPool: true, loggingName: 'orders', poolLoggingName: 'small' });
    await named.execute(text('SELECT 1'));
    await named.dispose();
    await named.execute(text('SELECT 1'));
    const names = new Set(logger.lines.map(({ fields }) => fields?.logger));
    expect(names).toEqual(new Set(['AsyncEngine.orders', 'QueuePool.small']));
  });

  it('LG-13: Nest shows the name as the context of its lines', async () => {
    const shown: unknown[][] = [];
    const note = (...line: unknown[]): void => void shown.push(line);
    Logger.overrideLogger({ log: note, warn: note, error: note });
    const named = items.engine({ logger: new NestLogger(), echo: true, loggingName: 'orders' });
    await named.execDriverSql('SELECT 1');
    Logger.overrideLogger(false);
    expect(shown.map((line) => [line[0], line.at(-1)])).toContainEqual(['SELECT 1', 'AsyncEngine.orders']);
  });

  it('LG-13: without them the lines have the plain names', async () => {
    await engine.execute(text('SELECT 1'));
    expect(new Set(logger.lines.map(({ fields }) => fields?.logger))).toEqual(new Set(['AsyncEngine']));
  });
});

describe('transactions in the log', () => {
  it('LG-17: BEGIN, SQL, its mark, columns, rows and ROLLBACK, in that order', async () => {
    engine.echo = 'debug';
    const connection = await engine.connect();
    await connection.execDriverSql('SELECT 1 AS one').all();
    await connection.rollback();
    await connection.close();
    expect(logger.take()).toEqual([
      'BEGIN (implicit)',
      'SELECT 1 AS one',
      '[raw sql] []',
      'Col (one)',
      'Row (1)',
      'ROLLBACK',
    ]);
  });

  it('LG-16: with AUTOCOMMIT the line says that nothing is begun, and rollback has nothing to say', async () => {
    const connection = await engine.executionOptions({ isolationLevel: 'AUTOCOMMIT' }).connect();
    await connection.execute(text('SELECT 1'));
    await connection.rollback();
    await connection.close();
    expect(logger.take()).toEqual([
      'BEGIN (implicit; nothing is sent: with AUTOCOMMIT each statement commits itself)',
      'SELECT 1',
      '[generated in …s] []',
    ]);
  });

  it('writes savepoints as they are sent, and COMMIT', async () => {
    await engine.begin(async (connection) => {
      await connection.beginNested(() =>
        connection
          .execute(insert('a'))
          .all()
          .catch(() => []),
      );
    });
    expect(logger.take()).toEqual([
      'BEGIN (implicit)',
      'SAVEPOINT nae_savepoint_1',
      "INSERT INTO item (name) VALUES ('a')",
      '[generated in …s] []',
      'RELEASE SAVEPOINT nae_savepoint_1',
      'COMMIT',
    ]);
  });

  it('writes no BEGIN and no COMMIT where none was sent', async () => {
    await engine.begin(() => Promise.resolve());
    expect(logger.take()).toEqual([]);
  });
});

describe('loggingToken', () => {
  it('LG-18: each connection has its own, a third has none', async () => {
    const roomy = engineWith({ echo: true, poolSize: 3 });
    const [first, second, third] = await Promise.all([roomy.connect(), roomy.connect(), roomy.connect()]);
    await first.executionOptions({ loggingToken: 'first' });
    await second.executionOptions({ loggingToken: 'second' });
    for (const connection of [first, second, third]) {
      await connection.execDriverSql('SELECT 1');
      await connection.close();
    }
    const lines = ['BEGIN (implicit)', 'SELECT 1', '[raw sql] []', 'ROLLBACK'];
    expect(logger.take()).toEqual([
      ...lines.map((line) => `[first] ${line}`),
      ...lines.map((line) => `[second] ${line}`),
      ...lines,
    ]);
  });

  it('LG-18: it may be set, replaced and removed inside a transaction', async () => {
    const connection = await engine.connect();
    await connection.execDriverSql('SELECT 1');
    for (const loggingToken of ['one', 'two', null]) {
      await connection.executionOptions({ loggingToken });
      await connection.execDriverSql('SELECT 1');
    }
    await connection.close();
    const statements = logger.take().filter((line) => line.endsWith('SELECT 1'));
    expect(statements).toEqual(['SELECT 1', '[one] SELECT 1', '[two] SELECT 1', 'SELECT 1']);
  });

  it('LG-18: it comes from the engine, and a statement may have its own', async () => {
    const marked = engine.executionOptions({ loggingToken: 'engine' });
    await marked.execDriverSql('SELECT 1');
    await marked.execDriverSql('SELECT 2', [], { loggingToken: 'statement' });
    expect(logger.take().filter((line) => line.includes('SELECT'))).toEqual([
      '[engine] SELECT 1',
      '[statement] SELECT 2',
    ]);
  });

  it('is refused nowhere: in a transaction only the isolation level is', async () => {
    const connection = await engine.connect();
    await connection.execute(text('SELECT 1'));
    expect(await failureOf(connection.executionOptions({ isolationLevel: 'SERIALIZABLE' }))).toBeInstanceOf(
      IllegalStateError,
    );
    await connection.close();
  });
});
