import { readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import path from 'node:path';
import { ROOT, type Import, type SourceFile } from './source-files.js';

const ENGINE_DOOR = 'lib/engine/index.ts';
const RX_DOOR = 'lib/rx/index.ts';
const OPENTELEMETRY = 'lib/opentelemetry/';
const MIGRATIONS = ['lib/migrations/run-migrations.ts', 'lib/migrations/migration-options.ts'];
const EMBEDDED = 'lib/embedded/embedded-postgres.ts';
/** Tools that know no database, such as the rules of options: for all rooms, and nothing for users. */
const TOOLS = ['lib/engine/util/', 'lib/engine/errors/thrown.ts'];
/** Names and texts are quoted in one place. */
const QUOTING = ['lib/engine/statement/identifier.ts', 'lib/engine/statement/literal.ts'];
/** Where a literal or a comment ends is known in one place. */
const LITERALS = 'lib/engine/statement/skip-literal.ts';
const ENGINE_TABLES = [
  'lib/engine/resolve-engine-options.ts',
  'lib/engine/ambient/exclusive-options.ts',
  'lib/engine/ambient/transactional-options.ts',
  'lib/engine/result/text/row-format.ts',
];

/** Who looks at an engine from above writes values as its own log does. */
const OBSERVER_TOOLS = ['lib/engine/errors/hidden-values.ts', 'lib/engine/errors/parameter-text.ts'];

/** What the files of a room may import besides the files of the same room. */
interface Room {
  readonly folder: string;
  /** Doors of other rooms, or whole rooms (ending in `/`). */
  readonly doors: readonly string[];
  /** True for a package that may be imported by `file`. */
  allowsPackage(name: string, file: string): boolean;
}

const isDriverPackage = (name: string): boolean => name === 'pg';

const ROOMS: readonly Room[] = [
  {
    folder: 'lib/engine/',
    doors: [],
    allowsPackage: (name, file) =>
      (isDriverPackage(name) && file.startsWith('lib/engine/driver/')) ||
      (name === '@electric-sql/pglite' && file.startsWith('lib/engine/driver/pglite/')),
  },
  { folder: 'lib/rx/', doors: [ENGINE_DOOR, ...TOOLS], allowsPackage: (name) => name === 'rxjs' },
  {
    folder: 'lib/cls/',
    doors: [ENGINE_DOOR, ...TOOLS, 'lib/engine/ambient/transactional-options.ts'],
    allowsPackage: () => false,
  },
  {
    folder: 'lib/opentelemetry/',
    doors: [ENGINE_DOOR, ...TOOLS, LITERALS],
    allowsPackage: (name) => name === '@opentelemetry/api',
  },
  {
    folder: 'lib/migrations/',
    doors: [ENGINE_DOOR, ...TOOLS, ...QUOTING],
    allowsPackage: (name) => name === 'node-pg-migrate',
  },
  {
    folder: 'lib/pg/',
    doors: [
      ENGINE_DOOR,
      ...TOOLS,
      LITERALS,
      'lib/engine/statement/split-script.ts',
      'lib/engine/statement/transaction-command.ts',
    ],
    allowsPackage: (name, file) =>
      isDriverPackage(name) || (name === 'kysely' && file.startsWith('lib/pg/kysely/')),
  },
  {
    // Starts a server beside the application, and takes nothing of the engine but errors and tools.
    folder: 'lib/embedded/',
    doors: ['lib/engine/errors/errors.ts', 'lib/engine/errors/server-errors.ts', ...TOOLS],
    allowsPackage: (name, file) =>
      name === 'embedded-postgres' || (isDriverPackage(name) && file === 'lib/embedded/base-backup.ts'),
  },
  {
    folder: 'lib/nest/',
    doors: [
      ENGINE_DOOR,
      RX_DOOR,
      EMBEDDED,
      OPENTELEMETRY,
      ...TOOLS,
      'lib/embedded/embedded-options.ts',
      ...MIGRATIONS,
      ...ENGINE_TABLES,
      ...OBSERVER_TOOLS,
    ],
    allowsPackage: (name) => !isDriverPackage(name) && isDeclared(name),
  },
  {
    folder: 'lib/testing/',
    doors: [ENGINE_DOOR, RX_DOOR, EMBEDDED, ...TOOLS, 'lib/nest/', LITERALS, ...QUOTING, ...ENGINE_TABLES],
    allowsPackage: (name) => !isDriverPackage(name) && isDeclared(name),
  },
];

const PACKAGE = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
};

/** True for what a user of the package has: a dependency or a peer, never a devDependency. */
function isDeclared(name: string): boolean {
  return name in { ...PACKAGE.dependencies, ...PACKAGE.peerDependencies };
}

/** `@nestjs/common/interfaces` → `@nestjs/common`. */
function packageName(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

function isAllowed(room: Room, file: string, { specifier, target }: Import): boolean {
  if (target !== undefined) {
    return (
      target.startsWith(room.folder) ||
      room.doors.some((door) => (door.endsWith('/') ? target.startsWith(door) : target === door))
    );
  }
  if (specifier.startsWith('node:')) return true;
  return !isBuiltin(specifier) && room.allowsPackage(packageName(specifier), file);
}

/** Imports that leave a room by another way than a door, or that bring in a package the room does not know. */
export function strangersIn(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const room = ROOMS.find(({ folder }) => file.path.startsWith(folder));
    if (room === undefined) return [];
    return file.imports
      .filter((used) => !isAllowed(room, file.path, used))
      .map(({ specifier }) => `${file.path} imports '${specifier}', which ${room.folder} may not know`);
  });
}
