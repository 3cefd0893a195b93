import { startEmbeddedPostgres, type EmbeddedPostgres } from '../embedded/embedded-postgres.js';

/** Shared by every copy of this module in the process: test runners load one per file. */
const SHARED = Symbol.for('nest-async-engine:test-server');

/**
 * The server of TEST_DATABASE_URL, else an embedded one: started at the first call, gone with the process.
 */
export async function testServerUrl(): Promise<string> {
  const given = givenUrl();
  if (given !== undefined) return given;
  const shared = globalThis as { [SHARED]?: Promise<EmbeddedPostgres> | undefined };
  shared[SHARED] ??= startEmbeddedPostgres().catch((error: unknown) => {
    shared[SHARED] = undefined;
    throw error;
  });
  return (await shared[SHARED]).url;
}

/**
 * A global set-up for Vitest and Jest: one embedded server for all workers of the run, whose address they
 * find in TEST_DATABASE_URL. Does nothing where that is set. Export it as the default of the file named in
 * `globalSetup`.
 *
 * Gives what stops the server, which Vitest calls; in Jest it ends with the run.
 */
export async function shareTestServer(): Promise<() => Promise<void>> {
  if (givenUrl() !== undefined) return () => Promise.resolve();
  const server = await startEmbeddedPostgres();
  process.env['TEST_DATABASE_URL'] = server.url;
  return async () => {
    delete process.env['TEST_DATABASE_URL'];
    await server.stop();
  };
}

function givenUrl(): string | undefined {
  const given = process.env['TEST_DATABASE_URL'];
  return given === undefined || given === '' ? undefined : given;
}
