import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { ArgumentError } from '../engine/index.js';
import { nameAndReasonOf } from '../engine/errors/thrown.js';

/** A migration as the folder has it. */
export interface MigrationFile {
  /** With its extension, for people. */
  readonly file: string;
  /** Without it: what the table of the migrations keeps. */
  readonly name: string;
  readonly path: string;
  readonly checksum: string;
}

/** Hidden files, declarations beside compiled files, and what is neither SQL nor a script. */
export const IGNORED = String.raw`(?:\..*|.*\.d\.[cm]?ts|(?!.*\.(?:sql|[cm]?[jt]s)$).*)`;

/** The migrations of a folder in the order in which they run. */
export async function readMigrationFiles(
  dir: string,
  list: (
    dir: string,
    options: { readonly ignorePattern: string; readonly logger: Silent },
  ) => Promise<string[]>,
): Promise<MigrationFile[]> {
  const paths = await list(dir, { ignorePattern: IGNORED, logger: SILENT }).catch((cause: unknown) => {
    throw new ArgumentError(`the folder of the migrations cannot be read: ${nameAndReasonOf(cause)}.`, {
      cause,
    });
  });
  const files = await Promise.all(paths.map(readMigrationFile));
  files.forEach(({ name, file }, index) => {
    const twin = files.slice(0, index).find((other) => other.name === name);
    if (twin === undefined) return;
    throw new ArgumentError(
      `the migrations '${twin.file}' and '${file}' have one name. Keep one of them in ${dir}, or rename it.`,
    );
  });
  return files;
}

async function readMigrationFile(location: string): Promise<MigrationFile> {
  // Git may change the line breaks of a file that was not edited.
  const text = (await readFile(location, 'utf8')).replaceAll('\r\n', '\n');
  return {
    file: path.basename(location),
    name: path.basename(location, path.extname(location)),
    path: location,
    checksum: createHash('sha256').update(text).digest('hex'),
  };
}

/** What a runner tells is told by us, in fewer words. */
type Silent = Readonly<Record<'info' | 'warn' | 'error', () => void>>;

/** Says nothing. */
export const SILENT: Silent = { info: () => {}, warn: () => {}, error: () => {} };
