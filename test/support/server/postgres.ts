import { randomUUID } from 'node:crypto';
import { Client, type QueryResultRow } from 'pg';
import { inject } from 'vitest';

export interface SessionRow {
  readonly pid: number;
  readonly state: string | null;
  readonly query: string;
  readonly application_name: string;
  readonly wait_event_type: string | null;
  readonly xact_start: Date | null;
}

/** A fresh database, and one plain `pg` client that looks at it beside the code under test. */
export interface TestDatabase {
  readonly url: string;
  readonly name: string;
  query<R extends QueryResultRow = QueryResultRow>(sql: string, values?: readonly unknown[]): Promise<R[]>;
  /** The client sessions on this database other than our own, in the order of their start. */
  sessions(): Promise<SessionRow[]>;
  /** Ends every session on it and removes it. */
  drop(): Promise<void>;
}

export async function createDatabase(prefix = 'test'): Promise<TestDatabase> {
  const server = inject('databaseUrl');
  const name = `${prefix}_${randomUUID().slice(0, 13).replace('-', '_')}`;
  await queryOnce(server, `CREATE DATABASE "${name}"`);
  const url = databaseUrl(server, name);
  const client = await connect(url);
  const query = async <R extends QueryResultRow>(
    sql: string,
    values: readonly unknown[] = [],
  ): Promise<R[]> => (await client.query<R>(sql, [...values])).rows;
  return {
    url,
    name,
    query,
    sessions: () =>
      query<SessionRow>(
        `SELECT pid, state, query, application_name, wait_event_type, xact_start FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
         ORDER BY backend_start`,
      ),
    async drop() {
      await client.end();
      await queryOnce(server, `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`);
    },
  };
}

function databaseUrl(server: string, name: string): string {
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

export async function connect(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString, application_name: 'test-observer' });
  await client.connect();
  return client;
}

/** One statement on a connection of its own; gives the rows. */
export async function queryOnce<R extends QueryResultRow = QueryResultRow>(
  url: string,
  sql: string,
): Promise<R[]> {
  const client = await connect(url);
  try {
    return (await client.query<R>(sql)).rows;
  } finally {
    await client.end();
  }
}
