import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, vi } from 'vitest';
import { eventually } from './barrier.js';
import { isAlive, transpileLauncher } from './embedded-child.js';

/** The folder of one test file, and in it a TMPDIR for each test, so that whatever stays behind is seen. */
export interface TemporaryFolders {
  /** Anybody may enter it; holds the transpiled launcher. */
  readonly folder: string;
  readonly temporaryFolder: string;
  /** A folder that anybody may write in. */
  makeFolder(name: string): Promise<string>;
  expectNothingLeft(processes: readonly number[]): Promise<void>;
}

export function useTemporaryFolders(): TemporaryFolders {
  const places = { folder: '', temporaryFolder: '' };
  const makeFolder = async (name: string): Promise<string> => {
    const folder = await mkdtemp(join(places.folder, `${name}-`));
    await chmod(folder, 0o777);
    return folder;
  };

  beforeAll(async () => {
    places.folder = await mkdtemp(join(tmpdir(), 'embedded-postgres-spec-'));
    await chmod(places.folder, 0o755);
    await transpileLauncher(places.folder);
  });
  beforeEach(async () => {
    places.temporaryFolder = await makeFolder('tmp');
    vi.stubEnv('TMPDIR', places.temporaryFolder);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });
  afterAll(() => rm(places.folder, { recursive: true, force: true }));

  return {
    get folder() {
      return places.folder;
    },
    get temporaryFolder() {
      return places.temporaryFolder;
    },
    makeFolder,
    expectNothingLeft: (processes) =>
      eventually(async () => {
        expect(processes.filter(isAlive)).toEqual([]);
        expect(await readdir(places.temporaryFolder)).toEqual([]);
      }),
  };
}
