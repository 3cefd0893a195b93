import { createAsyncEngine, sql, type AsyncEngine, type AsyncEngineOptions } from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LogLines } from '../../../support/doubles/log-lines.js';
import { failureOf } from '../../../support/items.js';
import { PgBouncer, pgbouncerVersion } from '../../../support/server/pgbouncer.js';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';
import { storedNames } from '../../../support/process/outcome.js';
import { TestEngines } from '../../../support/test-engines.js';

let database: TestDatabase;
const engines = new TestEngines();

describe.skipIf(pgbouncerVersion() === undefined)('behind PgBouncer (skipped without the program)', () => {
  beforeAll(async () => {
    database = await createDatabase('pooler_modes');
    await database.query('CREATE TABLE item (name text PRIMARY KEY)');
  });
  afterEach(async () => {
    await engines.end();
    await database.query('TRUNCATE item');
  });
  afterAll(() => database.drop());

  function open(pooler: PgBouncer, options: AsyncEngineOptions, logger = new LogLines()): AsyncEngine {
    return engines.add(createAsyncEngine(pooler.url, { poolSize: 2, maxOverflow: 0, logger, ...options }));
  }
  const insert = (engine: AsyncEngine, name: string): Promise<unknown> =>
    engine.execute(sql`INSERT INTO item VALUES (${name})`).then(() => undefined);

  it('statement mode takes statements, and says of a transaction what has to be set', async () => {
    await using pooler = await PgBouncer.start(database.url, { pool_mode: 'statement' });
    const engine = open(pooler, { pgbouncer: true });
    await insert(engine, 'a');
    const failure = await failureOf(engine.transaction(() => insert(engine, 'b')));
    expect(String(failure)).toContain('set pool_mode = transaction there');
    expect(await engine.scalar(sql`SELECT count(*)::int FROM item`)).toBe(1);
    expect(await storedNames(database, 'item')).toEqual(['a']);
  });

  it.each<[string, AsyncEngineOptions]>([
    ['with the option', { pgbouncer: true }],
    ['without it', {}],
  ])('a reset query behind each transaction takes nothing from anyone: %s', async (_, options) => {
    await using pooler = await PgBouncer.start(database.url, {
      default_pool_size: '1',
      server_reset_query: 'DISCARD ALL',
      server_reset_query_always: '1',
    });
    const logger = new LogLines();
    const engine = open(pooler, options, logger);
    for (let round = 0; round < 5; round += 1) {
      await engine.transaction(() => insert(engine, `a${round}`));
      expect(await engine.scalar(sql`SELECT count(*)::int FROM item`)).toBe(round + 1);
    }
    const warnings = logger.lines.filter(({ level }) => level === 'warn');
    expect(warnings.length).toBeLessThanOrEqual(options.pgbouncer === true ? 0 : 1);
  });

  it('a parameter that it does not know is named, with what to write instead', async () => {
    await using pooler = await PgBouncer.start(database.url);
    const url = new URL(pooler.url);
    url.searchParams.set('options', '-c geqo=off');
    await using engine = createAsyncEngine(url.href, { logger: new LogLines() });
    const failure = await failureOf(engine.scalar(sql`SELECT 1`));
    expect(String(failure)).toMatch(
      /unsupported startup parameter(?: in options)?: \w+\. The pooler hands it on to no session/,
    );
  });

  it('applicationName reaches the server, without ignore_startup_parameters', async () => {
    await using pooler = await PgBouncer.start(database.url);
    const engine = open(pooler, { pgbouncer: true, applicationName: 'shop' });
    expect(await engine.scalar(sql`SHOW application_name`)).toBe('shop');
  });
});
