import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../lib/embedded/embedded-postgres.js';
import { serverUser } from '../../../lib/embedded/server-user.js';

const run = promisify(execFile);

/** Left out of the copy: what belongs to the running primary. */
const OWN_FILES = ['postmaster.pid', 'postmaster.opts'];
const OWN_FOLDERS = ['pg_wal', 'pg_replslot'];

/** A primary and a hot standby that streams from it. */
export interface ReplicatedPostgres {
  readonly primary: EmbeddedPostgres;
  readonly standby: EmbeddedPostgres;
  stop(): Promise<void>;
}

export async function startReplicatedPostgres(): Promise<ReplicatedPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'replicated-postgres-'));
  await chmod(folder, 0o755);
  const [source, copy] = [join(folder, 'primary'), join(folder, 'standby')];
  const primary = await startEmbeddedPostgres({ dataDir: source });
  await copyCluster(primary.url, source, copy);
  const { port, password } = new URL(primary.url);
  const standby = await startEmbeddedPostgres({
    dataDir: copy,
    settings: { primary_conninfo: `host=127.0.0.1 port=${port} user=postgres password=${password}` },
  });
  return {
    primary,
    standby,
    async stop() {
      await Promise.all([standby.stop(), primary.stop()]);
      await rm(folder, { recursive: true });
    },
  };
}

async function copyCluster(url: string, source: string, copy: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query("SELECT pg_backup_start('copy', TRUE)");
  await run('cp', ['-a', source, copy]);
  for (const name of OWN_FILES) await rm(join(copy, name), { force: true });
  for (const name of OWN_FOLDERS) {
    for (const entry of await readdir(join(copy, name)))
      await rm(join(copy, name, entry), { recursive: true });
  }
  const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(FALSE)');
  await client.end();
  await writeFile(join(copy, 'backup_label'), rows[0]?.labelfile ?? '');
  await writeFile(join(copy, 'standby.signal'), '');
  for (const name of ['archive_status', 'summaries']) await mkdir(join(copy, 'pg_wal', name));
  const { uid, gid } = await serverUser();
  if (uid !== undefined) await run('chown', ['-R', `${uid}:${gid}`, copy]);
}
