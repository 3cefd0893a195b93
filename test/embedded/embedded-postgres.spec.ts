import { spawnSync } from 'node:child_process';
import { chmod, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../lib/embedded/embedded-postgres.js';
import { serverUser } from '../../lib/embedded/server-user.js';
import { eventually } from '../support/process/barrier.js';
import {
  descendantsOf,
  EmbeddedChild,
  installPackages,
  transpileLauncher,
} from '../support/process/embedded-child.js';
import { queryOnce } from '../support/server/postgres.js';
import { useTemporaryFolders } from '../support/process/temporary-folders.js';

const isRoot = process.getuid?.() === 0;
const folders = useTemporaryFolders();

describe('a running embedded server', () => {
  let server: EmbeddedPostgres;

  beforeAll(async () => {
    server = await startEmbeddedPostgres({ settings: { work_mem: '7MB' } });
  });

  afterAll(() => server.stop());

  it('is a real PostgreSQL', async () => {
    const [row] = await queryOnce<{ version: string }>(server.url, 'SELECT version()');
    expect(row?.version).toMatch(/^PostgreSQL \d+/);
  });

  it('refuses a wrong password', async () => {
    const url = new URL(server.url);
    url.password = 'wrong';
    await expect(queryOnce(url.href, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
  });

  it('trusts nobody', async () => {
    const rules = await queryOnce<{ auth_method: string }>(
      server.url,
      'SELECT DISTINCT auth_method FROM pg_hba_file_rules',
    );
    expect(rules).toEqual([{ auth_method: 'scram-sha-256' }]);
  });

  it('is reached through 127.0.0.1 only', async () => {
    const rows = await queryOnce(
      server.url,
      `SELECT name, setting FROM pg_settings WHERE name IN ('listen_addresses', 'unix_socket_directories') ORDER BY name`,
    );
    expect(rows).toEqual([
      { name: 'listen_addresses', setting: '127.0.0.1' },
      { name: 'unix_socket_directories', setting: '' },
    ]);
  });

  it('does not wait for the disk, and takes 100 connections and the given settings', async () => {
    const rows = await queryOnce(
      server.url,
      `SELECT current_setting('fsync') AS fsync, current_setting('max_connections') AS connections, current_setting('work_mem') AS work_mem`,
    );
    expect(rows).toEqual([{ fsync: 'off', connections: '100', work_mem: '7MB' }]);
  });

  it('knows upper and lower case beyond ASCII', async () => {
    expect(await queryOnce(server.url, `SELECT upper('ä') AS letter`)).toEqual([{ letter: 'Ä' }]);
  });

  it('shows its password to no inspector', () => {
    const { password } = new URL(server.url);
    expect(inspect(server, { depth: 5 }) + JSON.stringify(server)).not.toContain(password);
  });
});

describe('the end of an embedded server', () => {
  it('leaves no process and no folder after stop()', async () => {
    const before = await descendantsOf(process.pid);
    const server = await startEmbeddedPostgres();
    const processes = (await descendantsOf(process.pid)).filter((pid) => !before.includes(pid));
    await server.stop();
    expect(processes.length).toBeGreaterThan(3);
    await folders.expectNothingLeft(processes);
  });

  it('comes with the end of `await using`', async () => {
    const port = await (async () => {
      await using server = await startEmbeddedPostgres();
      return server.port;
    })();
    await expect(
      queryOnce(`postgresql://postgres@127.0.0.1:${port}/postgres`, 'SELECT 1'),
    ).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
  });

  it('may be asked for twice', async () => {
    const server = await startEmbeddedPostgres();
    await Promise.all([server.stop(), server.stop()]);
    await server.stop();
    expect(await readdir(folders.temporaryFolder)).toEqual([]);
  });

  it('leaves no process and no folder when its parent is killed', async () => {
    const child = new EmbeddedChild({ folder: folders.folder, temporaryFolder: folders.temporaryFolder });
    expect(await child.fact()).toMatchObject({ event: 'started' });
    const processes = await descendantsOf(child.pid);
    await child.kill();
    expect(processes.length).toBeGreaterThan(3);
    await folders.expectNothingLeft(processes);
  });

  it('leaves no process and no folder when its parent is killed during initdb', async () => {
    const child = new EmbeddedChild({ folder: folders.folder, temporaryFolder: folders.temporaryFolder });
    await eventually(async () => {
      const [folder = 'none yet'] = await readdir(folders.temporaryFolder);
      expect(await readdir(join(folders.temporaryFolder, folder, 'data'))).not.toContain('postmaster.opts');
    });
    const processes = await descendantsOf(child.pid);
    await child.kill();
    expect(processes.length).toBeGreaterThan(1);
    expect(await child.fact()).toMatchObject({ message: 'ended' });
    await folders.expectNothingLeft(processes);
  });

  it('comes with the end of a parent that has nothing else to do', async () => {
    const child = new EmbeddedChild({
      folder: folders.folder,
      temporaryFolder: folders.temporaryFolder,
      afterStart: 'leave',
    });
    expect(await child.fact()).toMatchObject({ event: 'started' });
    expect(await child.exited).toEqual([0, null]);
    await folders.expectNothingLeft([]);
  });

  it('does not come with Ctrl-C, which is for the application', async () => {
    const child = new EmbeddedChild({ folder: folders.folder, temporaryFolder: folders.temporaryFolder });
    const { url = '' } = await child.fact();
    child.interrupt();
    expect(await child.fact()).toEqual({ event: 'interrupted' });
    expect(await queryOnce(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await child.stop();
  });
});

describe('several embedded servers', () => {
  it('start at once in one process', async () => {
    const servers = await Promise.all([startEmbeddedPostgres(), startEmbeddedPostgres()]);
    const ports = await Promise.all(
      servers.map(
        async ({ url }) =>
          (await queryOnce<{ port: string }>(url, `SELECT current_setting('port') AS port`))[0],
      ),
    );
    await Promise.all(servers.map((server) => server.stop()));
    expect(ports).toEqual(servers.map(({ port }) => ({ port: String(port) })));
  });

  it('start at once in two processes', async () => {
    const children = [1, 2].map(
      () => new EmbeddedChild({ folder: folders.folder, temporaryFolder: folders.temporaryFolder }),
    );
    const facts = await Promise.all(children.map((child) => child.fact()));
    await Promise.all(children.map((child) => child.stop()));
    expect(facts.map(({ event }) => event)).toEqual(['started', 'started']);
  });
});

describe.skipIf(!isRoot)('a project with other owners (needs root to make one)', () => {
  let project = '';

  beforeAll(async () => {
    project = await folders.makeFolder('project');
    await transpileLauncher(project);
    await installPackages(project);
  });

  it('works for an ordinary user who may not write in node_modules, where the install script never ran', async (context) => {
    const user = await serverUser();
    const mayRunNode = spawnSync(process.execPath, ['--version'], user).status === 0;
    context.skip(!mayRunNode, 'this Node.js is in a folder that only root may enter');
    await chmod(project, 0o755);
    const child = new EmbeddedChild({
      folder: project,
      temporaryFolder: folders.temporaryFolder,
      cwd: project,
      user,
    });
    const { url = '', ...fact } = await child.fact();
    expect(fact).toEqual({ event: 'started' });
    expect(await queryOnce(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await child.stop();
    await folders.expectNothingLeft([]);
  });

  it('works for root below a folder that only root may enter', async () => {
    await chmod(project, 0o700);
    const child = new EmbeddedChild({
      folder: project,
      temporaryFolder: folders.temporaryFolder,
      cwd: project,
    });
    const { url = '', ...fact } = await child.fact();
    expect(fact).toEqual({ event: 'started' });
    expect(await queryOnce(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await child.stop();
    await folders.expectNothingLeft([]);
  });

  it('leaves nothing when its parent is killed while the binaries are copied', async () => {
    await chmod(project, 0o700);
    const child = new EmbeddedChild({
      folder: project,
      temporaryFolder: folders.temporaryFolder,
      cwd: project,
    });
    await eventually(async () => {
      const [folder = 'none yet'] = await readdir(folders.temporaryFolder);
      expect(await readdir(join(folders.temporaryFolder, folder, 'native'))).toContain('bin');
    });
    await child.kill();
    await folders.expectNothingLeft([]);
  });
});
