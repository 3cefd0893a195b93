import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../../lib/embedded/free-port.js';
import { serverUser } from '../../../lib/embedded/server-user.js';
import { eventually } from '../process/barrier.js';

/** What `program` says of its version; undefined where there is no such program. */
export function versionOf(program: string, flag = '--version'): string | undefined {
  const { error, stdout, stderr } = spawnSync(program, [flag], { encoding: 'utf8' });
  return error === undefined ? `${stdout}${stderr}` : undefined;
}

/** Where a program runs. */
export interface ProgramPlace {
  readonly port: number;
  readonly folder: string;
}

/** A program that listens on a port of its own, with files in a folder of its own. */
export class Program implements AsyncDisposable {
  readonly port: number;
  readonly #folder: string;
  readonly #process: ChildProcess;

  private constructor({ port, folder }: ProgramPlace, child: ChildProcess) {
    this.port = port;
    this.#folder = folder;
    this.#process = child;
  }

  /** `files` gives their contents by name, `words` what stands behind the program's name. */
  static async start(
    name: string,
    files: (place: ProgramPlace) => Readonly<Record<string, string>>,
    words: (place: ProgramPlace) => readonly string[],
  ): Promise<Program> {
    const folder = await mkdtemp(join(tmpdir(), `${name}-`));
    const user = await serverUser();
    await chmod(folder, 0o755);
    if (user.uid !== undefined && user.gid !== undefined) await chown(folder, user.uid, user.gid);
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      const place = { port: await freePort(), folder };
      for (const [file, text] of Object.entries(files(place))) {
        await writeFile(join(folder, file), text);
        await chmod(join(folder, file), 0o644);
      }
      const child = spawn(name, words(place), { ...user, cwd: folder, stdio: 'ignore' });
      // Another process may have taken the port meanwhile.
      if (await isReached(place.port, child)) return new Program(place, child);
    }
    throw new Error(`${name} ended five times without taking a client. Look into ${folder}.`);
  }

  /** Ends it at once, with the processes that it has started where it is given the time. */
  async end(signal: NodeJS.Signals): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill(signal);
    await ended;
    await rm(this.#folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end('SIGKILL');
  }
}

/** False: it has ended without taking a client. */
async function isReached(port: number, child: ChildProcess): Promise<boolean> {
  const ended = once(child, 'exit').then(() => false);
  const reached = eventually(() => reach(port)).then(() => child.exitCode === null);
  return await Promise.race([ended, reached]);
}

async function reach(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}
