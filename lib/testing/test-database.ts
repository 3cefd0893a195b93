import { randomUUID } from 'node:crypto';
import { NullPool, createAsyncEngine, makeUrl, text } from '../engine/index.js';
import { quoteIdentifier } from '../engine/statement/identifier.js';
import { wordRule } from '../engine/util/option-rule.js';
import { OptionTable } from '../engine/util/option-table.js';
import { testServerUrl } from './test-server.js';

/** A database of one suite's own. */
export interface TestDatabase extends AsyncDisposable {
  /** With the password: treat it as a secret. */
  readonly url: string;
  readonly name: string;
  /** Ends every session on it and removes it; idempotent. */
  drop(): Promise<void>;
}

/** What a test database begins with. */
export interface TestDatabaseOptions {
  /** A database of the server that the new one is a copy of. No session may be connected to it meanwhile. */
  readonly template?: string | undefined;
}

const TEST_DATABASE_OPTIONS = new OptionTable<TestDatabaseOptions>(
  'createTestDatabase',
  { template: wordRule },
  'refused',
);

/**
 * Makes an empty database on the server of TEST_DATABASE_URL, else on an embedded one that is started once
 * per process.
 *
 * @throws what the server refuses, OperationalError when it cannot be reached, ArgumentError without a
 * server.
 *
 * @example
 * ```ts
 * const database = await createTestDatabase();
 * const engine = createAsyncEngine(database.url);
 * await engine.scalar(sql`SELECT 1`);
 * await engine.aclose();
 * await database.drop();
 * ```
 */
export async function createTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const { template: origin } = TEST_DATABASE_OPTIONS.parse(options);
  const server = await testServerUrl();
  const name = `nae_test_${randomUUID().replaceAll('-', '').slice(0, 16)}`;
  const template = origin === undefined ? '' : ` TEMPLATE ${quoteIdentifier(origin)}`;
  await command(server, `CREATE DATABASE ${quoteIdentifier(name)}${template}`);
  let dropping: Promise<void> | undefined;
  const drop = (): Promise<void> =>
    (dropping ??= command(server, `DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`));
  const url = makeUrl(server).set({ database: name }).renderAsString({ hidePassword: false });
  return { url, name, drop, [Symbol.asyncDispose]: drop };
}

async function command(server: string, sql: string): Promise<void> {
  await using engine = createAsyncEngine(server, { poolClass: NullPool });
  await engine.execute(text(sql.replaceAll(':', '\\:')));
}
