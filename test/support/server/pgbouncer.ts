import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../../lib/embedded/free-port.js';
import { serverUser } from '../../../lib/embedded/server-user.js';
import { eventually } from '../process/barrier.js';

/** The version of the program as 1.18, or undefined where there is none. */
export function pgbouncerVersion(): number | undefined {
  const { error, stdout } = spawnSync('pgbouncer', ['--version'], { encoding: 'utf8' });
  if (error !== undefined) return undefined;
  const [, major = '0', minor = '0'] = /PgBouncer (\d+)\.(\d+)/.exec(stdout) ?? [];
  return Number(major) + Number(minor) / 100;
}

/** A PgBouncer in front of the server of `targetUrl`. */
export class PgBouncer implements AsyncDisposable {
  /** The same database, through the pooler. */
  readonly url: string;
  readonly #folder: string;
  readonly #process: ChildProcess;

  private constructor(url: string, folder: string, child: ChildProcess) {
    this.url = url;
    this.#folder = folder;
    this.#process = child;
  }

  /** `settings` as in pgbouncer.ini. */
  static async start(targetUrl: string, settings: Readonly<Record<string, string>> = {}): Promise<PgBouncer> {
    const target = new URL(targetUrl);
    const database = target.pathname.slice(1);
    const user = await serverUser();
    const folder = await mkdtemp(join(tmpdir(), 'pgbouncer-'));
    await chmod(folder, 0o755);
    if (user.uid !== undefined && user.gid !== undefined) await chown(folder, user.uid, user.gid);
    const port = await freePort();
    const all = {
      listen_addr: '127.0.0.1',
      listen_port: String(port),
      unix_socket_dir: '',
      auth_type: 'any',
      pool_mode: 'transaction',
      default_pool_size: '3',
      ...settings,
    };
    const server = `host=${target.hostname} port=${target.port} user=${target.username} password=${target.password}`;
    const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`);
    const ini = join(folder, 'pgbouncer.ini');
    await writeFile(ini, ['[databases]', `${database} = ${server}`, '[pgbouncer]', ...lines, ''].join('\n'));
    const child = spawn('pgbouncer', ['-q', ini], { ...user, cwd: folder, stdio: 'ignore' });
    await eventually(() => reach(port));
    return new PgBouncer(`postgresql://${target.username}@127.0.0.1:${port}/${database}`, folder, child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function reach(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}
