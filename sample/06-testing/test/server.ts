import { afterAll, beforeAll, inject, vi } from 'vitest';

/**
 * The server on which DatabaseTestingModule makes its databases: here the one that all tests of this repository share. In an
 * application of yours, name `shareTestServer` as globalSetup (docs/guide/testing.md), and this file is not needed.
 */
export function useServerOfTheRun(): void {
  beforeAll(() => void vi.stubEnv('TEST_DATABASE_URL', inject('databaseUrl')));
  afterAll(() => void vi.unstubAllEnvs());
}
