import type { EmbeddedPostgres } from '../../../lib/embedded/embedded-postgres.js';
import { eventually } from '../process/barrier.js';
import { descendantsOf, isAlive } from '../process/embedded-child.js';
import { queryOnce } from './postgres.js';

type Server = Pick<EmbeddedPostgres, 'url'>;

/** The process that all others of the server come from. */
export async function postmasterOf(server: Server): Promise<number> {
  const text = `SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int AS pid`;
  const [row] = await queryOnce<{ pid: number }>(server.url, text);
  return row?.pid ?? 0;
}

/** Ends the server as `kill -9` and a machine without power do. */
export async function killServer(server: Server): Promise<void> {
  const pid = await postmasterOf(server);
  const processes = [pid, ...(await descendantsOf(pid))];
  for (const each of processes) signal(each, 'SIGKILL');
  await eventually(async () => {
    if (processes.some(isAlive)) throw new Error('still there');
  });
}

/** Stops all processes of the server where they are; gives what lets them go on. */
export async function freezeServer(server: Server): Promise<() => void> {
  const pid = await postmasterOf(server);
  const processes = [pid, ...(await descendantsOf(pid))];
  for (const each of processes) signal(each, 'SIGSTOP');
  return () => {
    for (const each of processes) signal(each, 'SIGCONT');
  };
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended with the one before it.
  }
}

/** Makes a standby a primary; resolves when it takes writes. */
export async function promote(standby: Server): Promise<void> {
  await queryOnce(standby.url, 'SELECT pg_promote(TRUE, 30)');
}

/** The standby applies nothing any more; gives what lets it go on. */
export async function pauseReplay(standby: Server): Promise<() => Promise<void>> {
  await queryOnce(standby.url, 'SELECT pg_wal_replay_pause()');
  await eventually(async () => {
    const [row] = await queryOnce(standby.url, 'SELECT pg_get_wal_replay_pause_state() AS state');
    if (row?.['state'] !== 'paused') throw new Error('not yet');
  });
  return async () => void (await queryOnce(standby.url, 'SELECT pg_wal_replay_resume()'));
}

/** Settings that a running server reads again. */
export async function reconfigure(server: Server, settings: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, value] of Object.entries(settings))
    await queryOnce(server.url, `ALTER SYSTEM SET ${name} = '${value}'`);
  await queryOnce(server.url, 'SELECT pg_reload_conf()');
}
