import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { OperationalError } from '../engine/errors/server-errors.js';

const run = promisify(execFile);

/** Whom the server runs as: empty means as this process. Spread into the options of `spawn`. */
export interface ServerUser {
  readonly uid?: number;
  readonly gid?: number;
}

/** PostgreSQL refuses to run as root, so root hands it to `nobody`. */
export async function serverUser(): Promise<ServerUser> {
  if (process.getuid?.() !== 0) return {};
  return { uid: await idOfNobody('-u'), gid: await idOfNobody('-g') };
}

async function idOfNobody(flag: '-u' | '-g'): Promise<number> {
  try {
    const { stdout } = await run('id', [flag, 'nobody']);
    return Number(stdout);
  } catch (cause) {
    throw new OperationalError(
      'PostgreSQL does not run as root, and this system has no user "nobody" to run it as. ' +
        'Start the process as an ordinary user, or set DATABASE_URL to a server that is already running.',
      { cause },
    );
  }
}
