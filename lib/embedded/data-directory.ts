import { chown, mkdir, readdir, readFile, rmdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { ArgumentError } from '../engine/errors/errors.js';
import type { ServerUser } from './server-user.js';

/** Beside the cluster's own files; mode 0600. */
export const passwordFile = 'embedded-postgres.password';

/** Inside a data directory while a cluster is made in it. */
export const claimFolder = 'embedded-postgres.new';

/** A data directory that outlives the server. */
export interface DataDirectory {
  readonly path: string;
  /** Undefined: there is no cluster yet. */
  readonly password: string | undefined;
  /** Takes back what `openDataDirectory` made, if it is still empty. */
  discard(): Promise<void>;
}

/**
 * Makes the directory, or checks that it is one of ours.
 *
 * @throws {@link ArgumentError} when it belongs to another user or holds something else.
 */
export async function openDataDirectory(dataDir: string, user: ServerUser): Promise<DataDirectory> {
  const path = resolve(dataDir);
  if (await isMade(path)) {
    await handOver(path, user);
    return { path, password: undefined, discard: () => rmdir(path).catch(() => undefined) };
  }
  const owner = await ownerOf(path);
  if ((await entriesOf(path)).length === 0) {
    await handOver(path, user);
    return { path, password: undefined, discard: () => Promise.resolve() };
  }
  const expected = user.uid ?? process.getuid?.();
  if (owner !== expected) {
    throw new ArgumentError(
      `dataDir "${path}" belongs to user ${owner} and the server runs as user ${expected}. ` +
        'Give a directory that is empty or missing, or that was made by the same user.',
    );
  }
  return { path, password: await storedPassword(path), discard: () => Promise.resolve() };
}

/** True where the server that ran in it is ending, or has just ended. */
export async function isBeingLeft(path: string): Promise<boolean> {
  const lock = await readFile(join(path, 'postmaster.pid'), 'utf8').catch(() => undefined);
  return lock === undefined || /^stopping/m.test(lock);
}

/** True where the directory did not exist: of several starts at once only one makes it. */
async function isMade(path: string): Promise<boolean> {
  try {
    // Only the directory itself is private: the server's user has to get through those above it.
    await mkdir(dirname(path), { recursive: true });
    await mkdir(path, { mode: 0o700 });
    return true;
  } catch (cause) {
    if (hasCode(cause, 'EEXIST') && (await isDirectory(path))) return false;
    throw new ArgumentError(`dataDir "${path}" cannot be made. Give another directory.`, { cause });
  }
}

async function isDirectory(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() ?? false;
}

async function ownerOf(path: string): Promise<number> {
  try {
    return (await stat(path)).uid;
  } catch (cause) {
    throw new ArgumentError(`dataDir "${path}" cannot be reached. Give another directory.`, { cause });
  }
}

async function entriesOf(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (cause) {
    throw new ArgumentError(
      `dataDir "${path}" is not a directory that this process can read. Give another one.`,
      { cause },
    );
  }
}

async function handOver(path: string, user: ServerUser): Promise<void> {
  const uid = user.uid ?? process.getuid?.();
  const gid = user.gid ?? process.getgid?.();
  if (uid === undefined || gid === undefined || (await ownerOf(path)) === uid) return;
  try {
    await chown(path, uid, gid);
  } catch (cause) {
    throw new ArgumentError(`dataDir "${path}" belongs to another user. Give a directory of your own.`, {
      cause,
    });
  }
}

async function storedPassword(path: string): Promise<string> {
  try {
    return (await readFile(join(path, passwordFile), 'utf8')).trim();
  } catch (cause) {
    throw new ArgumentError(
      `dataDir "${path}" is not empty and was not made by startEmbeddedPostgres (it has no ${passwordFile}), ` +
        'or another process is making it just now. Give a directory that is empty or missing.',
      { cause },
    );
  }
}

function hasCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}
