import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { OperationalError } from '../../errors/server-errors.js';
import { files } from '../../errors/node-modules.js';
import { reasonOf } from './reason.js';

/**
 * The process that holds a lock: the start tells it from a later one with the same id, as the first of every
 * container has.
 */
interface Holder {
  readonly pid: number;
  readonly startedAt: string;
}

/**
 * Keeps a data folder to one engine: two WASM servers on one folder corrupt it, and PGlite does not prevent
 * that. The lock is the file `<folder>.lock` beside the folder; one that a killed process left behind is
 * taken over.
 */
export class FolderLock {
  readonly #file: string;

  private constructor(file: string) {
    this.#file = file;
  }

  /**
   * @throws OperationalError when an engine of this process or another one has the folder open, and when the
   * lock can't be written.
   */
  static async acquire(folder: string): Promise<FolderLock> {
    const file = `${folder}.lock`;
    try {
      await files().mkdir(path.dirname(folder), { recursive: true });
      const content = JSON.stringify(await holderOf(process.pid));
      if (await tryCreate(file, content)) return new FolderLock(file);
      const found = await readLock(file);
      if (!(await isAbandoned(found))) throw folderInUse(folder, found);
      await takeAway(file, found);
      if (await tryCreate(file, content)) return new FolderLock(file);
      throw folderInUse(folder, await readLock(file));
    } catch (cause) {
      if (cause instanceof OperationalError) throw cause;
      throw new OperationalError(
        `the data folder ${folder} cannot be locked by ${file}: ${reasonOf(cause)}. ` +
          'Give a folder that this process may make and write beside.',
        { cause },
      );
    }
  }

  async release(): Promise<void> {
    await files().rm(this.#file, { force: true });
  }
}

/** Empty where the lock has just gone; a folder in its place is left as it is. */
async function readLock(file: string): Promise<string> {
  const found = await files()
    .lstat(file)
    .catch(() => undefined);
  if (found === undefined) return '';
  if (!found.isFile()) throw new OperationalError(`${file} is not a lock: it is not a file. Remove it.`);
  return await files()
    .readFile(file, 'utf8')
    .catch(() => '');
}

/** By a link, so that a lock is never seen without its content. */
async function tryCreate(file: string, content: string): Promise<boolean> {
  const draft = `${file}.${randomUUID()}`;
  await files().writeFile(draft, content, { mode: 0o600 });
  try {
    await files().link(draft, file);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    await files().rm(draft, { force: true });
  }
}

/** Another engine may have done the same and made its own lock meanwhile: that one is put back. */
async function takeAway(file: string, abandoned: string): Promise<void> {
  const aside = `${file}.${randomUUID()}`;
  const isMine = await files()
    .rename(file, aside)
    .then(
      () => true,
      () => false,
    );
  if (!isMine) return;
  if ((await files().readFile(aside, 'utf8')) !== abandoned)
    await files()
      .link(aside, file)
      .catch(() => undefined);
  await files().rm(aside, { force: true });
}

async function isAbandoned(content: string): Promise<boolean> {
  const holder = holderIn(content);
  if (holder === undefined) return true;
  return !isAlive(holder.pid) || (await holderOf(holder.pid)).startedAt !== holder.startedAt;
}

function holderIn(content: string): Holder | undefined {
  try {
    const holder = JSON.parse(content) as Partial<Holder> | null;
    if (typeof holder?.pid !== 'number' || typeof holder.startedAt !== 'string') return undefined;
    return { pid: holder.pid, startedAt: holder.startedAt };
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It lives and belongs to another user.
    return hasCode(error, 'EPERM');
  }
}

// Outside of Linux the start is not known, and the id alone counts.
async function holderOf(pid: number): Promise<Holder> {
  const stat = await files()
    .readFile(`/proc/${pid}/stat`, 'utf8')
    .catch(() => '');
  // The name, in brackets, may hold spaces; the start is the 22nd field, the 20th behind it.
  const startedAt = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  return { pid, startedAt };
}

function folderInUse(folder: string, content: string): OperationalError {
  const holder = holderIn(content);
  const who =
    holder?.pid === process.pid ? 'another engine of this process' : `process ${holder?.pid ?? '?'}`;
  return new OperationalError(
    `the data folder ${folder} is in use by ${who}: a PGlite database belongs to one engine at a time. ` +
      `Close that engine with aclose(), or share it.`,
  );
}

function hasCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}
