import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { AbsentError, BenchmarkError } from '../benchmark-error.js';
import type { Way } from '../workload.js';

/** Milliseconds within which it must listen. */
const PATIENCE = 10_000;

/** A PgBouncer in transaction mode in front of the database. */
export class PgBouncer implements Way {
  readonly url: string;
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(url: string, child: ChildProcess, folder: string) {
    this.url = url;
    this.#process = child;
    this.#folder = folder;
  }

  static async start(databaseUrl: string): Promise<PgBouncer> {
    if (spawnSync('pgbouncer', ['--version']).error !== undefined) {
      throw new AbsentError('there is no pgbouncer on this machine.');
    }
    const folder = await mkdtemp(path.join(tmpdir(), 'bench-pgbouncer-'));
    await chmod(folder, 0o755);
    const port = await freePort();
    const file = path.join(folder, 'pgbouncer.ini');
    await writeFile(file, settingsOf(new URL(databaseUrl), port), { mode: 0o644 });
    // It refuses to run as root.
    const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
    const child = spawn('pgbouncer', ['-q', ...user, file], { stdio: 'ignore' });
    const url = new URL(databaseUrl);
    url.hostname = '127.0.0.1';
    url.port = String(port);
    const pooler = new PgBouncer(url.href, child, folder);
    await pooler.#listening(port);
    return pooler;
  }

  async close(): Promise<void> {
    if (this.#process.exitCode === null) {
      const ended = once(this.#process, 'exit');
      this.#process.kill('SIGKILL');
      await ended;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #listening(port: number): Promise<void> {
    for (const until = Date.now() + PATIENCE; Date.now() < until; await pause(20)) {
      if (await isListening(port)) return;
    }
    await this.close();
    throw new BenchmarkError('pgbouncer did not listen. Start it by hand to see what it says.');
  }
}

function settingsOf({ hostname, port, pathname, username, password }: URL, own: number): string {
  const secret = password === '' ? '' : ` password=${password}`;
  const server = `host=${hostname} port=${port === '' ? '5432' : port} user=${username}${secret}`;
  return [
    '[databases]',
    `${pathname.slice(1)} = ${server}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${own}`,
    'unix_socket_dir =',
    'auth_type = any',
    'pool_mode = transaction',
    'default_pool_size = 10',
    'max_client_conn = 500',
    '',
  ].join('\n');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
