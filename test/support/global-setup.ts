import type { TestProject } from 'vitest/node';
import { startEmbeddedPostgres } from '../../lib/embedded/embedded-postgres.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** A server on which tests make their own databases. */
    readonly databaseUrl: string;
  }
}

/** One server per run: the one of TEST_DATABASE_URL, else an embedded one. */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const given = process.env['TEST_DATABASE_URL'];
  if (given !== undefined && given !== '') {
    project.provide('databaseUrl', given);
    return undefined;
  }
  const server = await startEmbeddedPostgres();
  project.provide('databaseUrl', server.url);
  return () => server.stop();
}
