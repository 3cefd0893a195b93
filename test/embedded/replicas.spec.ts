import { readdir } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../lib/embedded/embedded-postgres.js';
import { eventually } from '../support/process/barrier.js';
import { descendantsOf } from '../support/process/embedded-child.js';
import { useTemporaryFolders } from '../support/process/temporary-folders.js';
import { queryOnce } from '../support/server/postgres.js';
import { killServer, promote } from '../support/server/standby.js';

const folders = useTemporaryFolders();

describe('a replica of an embedded server', () => {
  let server: EmbeddedPostgres | undefined;

  afterEach(() => server?.stop());

  it('is a standby that streams from it as soon as it is there', async () => {
    server = await startEmbeddedPostgres({ replicas: 2 });
    const streaming = await queryOnce(
      server.url,
      'SELECT application_name, state FROM pg_stat_replication ORDER BY 1',
    );
    expect(streaming).toEqual([
      { application_name: 'replica_1', state: 'streaming' },
      { application_name: 'replica_2', state: 'streaming' },
    ]);
    const standbys = server.replicas.map(({ url }) =>
      queryOnce(url, 'SELECT pg_is_in_recovery() AS standby'),
    );
    expect(await Promise.all(standbys)).toEqual([[{ standby: true }], [{ standby: true }]]);
  });

  it('has what was stored before it was made, and gets what is stored later', async () => {
    server = await startEmbeddedPostgres();
    await queryOnce(server.url, 'CREATE TABLE notes AS SELECT 1 AS id');
    const replica = await server.addReplica();
    await queryOnce(server.url, 'INSERT INTO notes VALUES (2)');
    await eventually(async () => {
      expect(await queryOnce(replica.url, 'SELECT id FROM notes ORDER BY id')).toEqual([
        { id: 1 },
        { id: 2 },
      ]);
    });
  });

  it('has the settings of its server', async () => {
    server = await startEmbeddedPostgres({ replicas: 1, settings: { work_mem: '7MB' } });
    const [replica] = server.replicas;
    expect(await queryOnce(replica?.url ?? '', 'SHOW work_mem')).toEqual([{ work_mem: '7MB' }]);
  });

  it('takes writes once it was promoted, and has replicas of its own', async () => {
    server = await startEmbeddedPostgres({ replicas: 1 });
    const [replica] = server.replicas;
    if (replica === undefined) throw new Error('no replica');
    await killServer(server);
    await promote(replica);
    await queryOnce(replica.url, 'CREATE TABLE notes AS SELECT 1 AS id');
    const next = await replica.addReplica();
    expect(await queryOnce(next.url, 'SELECT id FROM notes')).toEqual([{ id: 1 }]);
  });

  it('ends with its server and leaves no process and no folder', async () => {
    const before = await descendantsOf(process.pid);
    const started = await startEmbeddedPostgres({ replicas: 1 });
    const processes = (await descendantsOf(process.pid)).filter((pid) => !before.includes(pid));
    await started.stop();
    expect(processes.length).toBeGreaterThan(6);
    await folders.expectNothingLeft(processes);
  });

  it('is stopped alone without its server', async () => {
    server = await startEmbeddedPostgres({ replicas: 1 });
    await server.replicas[0]?.stop();
    expect(await queryOnce(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(await readdir(folders.temporaryFolder)).toHaveLength(1);
  });

  it('is not added to a server that has ended', async () => {
    server = await startEmbeddedPostgres();
    await server.stop();
    await expect(server.addReplica()).rejects.toMatchObject({
      code: 'OPERATIONAL',
      message: expect.stringContaining('Add replicas to a server that runs.') as string,
    });
  });

  it('is refused in a number that is none', async () => {
    await expect(startEmbeddedPostgres({ replicas: -1 })).rejects.toThrow(
      "embedded option 'replicas' must be an integer from 0 to 8; got -1.",
    );
  });
});
