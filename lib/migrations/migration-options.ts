import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { asItIs, functionRule, signalRule, type OptionRule } from '../engine/util/option-rule.js';
import { OptionTable } from '../engine/util/option-table.js';

/** How far a run is. */
export interface MigrationProgress {
  /** The file that begins to run; undefined when all have run and are stored. */
  readonly file: string | undefined;
  /** How many files have run. */
  readonly done: number;
  /** How many files this run has. */
  readonly total: number;
}

/** Which migrations are run, and where is kept what has run. */
export interface MigrationOptions {
  /**
   * The folder of the migrations: a file URL, an absolute path, or one relative to the folder in which the
   * process was started. SQL, JavaScript and TypeScript files as node-pg-migrate takes them; other files are
   * left alone.
   */
  readonly dir: string | URL;
  /** Keeps the names of what has run; `<table>_checksums` stands beside it. Default `pgmigrations`. */
  readonly table?: string | undefined;
  /**
   * Holds these tables, and is the `search_path` of the migrations. Made when missing. Default: the tables
   * are in `public`, and the `search_path` is that of the session.
   */
  readonly schema?: string | undefined;
  /** Called as each file begins, and once at the end; not where there is nothing to run. */
  readonly onProgress?: ((progress: MigrationProgress) => void) | undefined;
  /** Ends the wait for another instance. A run that has begun is finished. */
  readonly signal?: AbortSignal | undefined;
}

const folderRule: OptionRule = {
  expected: 'a path that is not empty, or a file URL',
  accepts: (value) =>
    (typeof value === 'string' && value.trim() !== '' && !value.includes('\0')) ||
    (value instanceof URL && value.protocol === 'file:'),
  coerce: asItIs,
  parse: (value) =>
    path.resolve(
      value instanceof URL || isFileUrl(value as string) ? fileURLToPath(value as URL) : String(value),
    ),
};

// The runner writes these names into its SQL as they are; the server cuts off what is longer.
const nameRule: OptionRule = {
  expected: 'a name of 1 to 50 bytes without quotes',
  accepts: (value) => typeof value === 'string' && /^[^'"\0]+$/.test(value) && Buffer.byteLength(value) <= 50,
  coerce: asItIs,
};

const isFileUrl = (text: string): boolean => text.startsWith('file:');

/** What each option may be. */
export const MIGRATION_OPTIONS = new OptionTable<Partial<MigrationOptions>>(
  'migrations',
  { dir: folderRule, table: nameRule, schema: nameRule, onProgress: functionRule, signal: signalRule },
  'refused',
);
