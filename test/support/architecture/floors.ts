import path from 'node:path';
import type { SourceFile } from './source-files.js';

interface Floor {
  readonly floor: number;
  /** Files and whole folders (ending in `/`), relative to the root. */
  readonly places: readonly string[];
}

const inEngine = (...names: string[]): string[] => names.map((name) => `lib/engine/${name}`);

/** The staircase of docs/architecture.md. A new file of lib/engine is placed here by hand; that is the point. */
export const FLOORS: readonly Floor[] = [
  { floor: 7, places: ['lib/index.ts'] },
  { floor: 6, places: ['lib/nest/', 'lib/testing/'] },
  { floor: 5, places: ['lib/rx/'] },
  {
    floor: 4,
    places: inEngine(
      'index.ts',
      'engine.ts',
      'engine-options.ts',
      'engine-events.ts',
      'engine-listeners.ts',
      'listening-engine.ts',
      'ambient-engine.ts',
      'autocommit.ts',
      'carrier.ts',
      'multiplexer.ts',
      'session-settings.ts',
      'text-profile.ts',
      'create-async-engine.ts',
      'drivers.ts',
      'engine-from-config.ts',
      'standalone-stream.ts',
      'open-scopes.ts',
      'scope.ts',
      'scoped-connection.ts',
      'frame.ts',
      'propagation.ts',
      'retry.ts',
      'open-transaction.ts',
    ),
  },
  {
    floor: 3,
    places: inEngine(
      'transaction/',
      'connection.ts',
      'connection-options.ts',
      'connection-session.ts',
      'checkout.ts',
      'connection-transactions.ts',
      'connection-events.ts',
      'connection-source.ts',
      'isolation-question.ts',
      'listening-executor.ts',
      'watch.ts',
      'watched-statement.ts',
      'watched-portal.ts',
      'answering-source.ts',
      'failure.ts',
      'executor.ts',
      'transactional-executor.ts',
      'driver-client.ts',
      'invocation.ts',
      'wait-limit.ts',
      'execution-options.ts',
    ),
  },
  { floor: 2, places: inEngine('pool/', 'result/') },
  { floor: 1, places: inEngine('driver/') },
  {
    floor: 0,
    places: inEngine(
      'errors.ts',
      'sqlstate.ts',
      'url.ts',
      'url-hosts.ts',
      'url-query.ts',
      'url-text.ts',
      'types.ts',
      'builtin-types.ts',
      'statement/',
      'abort-listener.ts',
      'mutex.ts',
      'promised.ts',
      'watchdog.ts',
      'linked-list.ts',
      'recently-used.ts',
      'option-rule.ts',
      'overlay.ts',
      'script.ts',
      'transaction-word.ts',
      'events.ts',
      'channels.ts',
      'dialect.ts',
      'log.ts',
      'parameter-text.ts',
      'replaced-errors.ts',
      'call-site.ts',
    ),
  },
];

/**
 * Neighbours on floor 6 that may look at each other: the testing module sets up the database module, and
 * `embedded: true` of the database module starts the server that the tests use.
 */
const NEIGHBOURS: readonly (readonly [from: string, to: string])[] = [
  ['lib/testing/', 'lib/nest/'],
  ['lib/nest/', 'lib/testing/embedded-postgres.ts'],
];

function isWithin(file: string, place: string): boolean {
  return place.endsWith('/') ? file.startsWith(place) : file === place;
}

/** The floor of a file, or undefined when nobody has placed it. */
export function floorOf(file: string): number | undefined {
  return FLOORS.find(({ places }) => places.some((place) => isWithin(file, place)))?.floor;
}

export function unplacedFiles(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => floorOf(file.path) === undefined)
    .map((file) => `${file.path} stands on no floor: place it in test/support/architecture/floors.ts`);
}

/** Two folders are one family when one holds the other: `lib/engine` and `lib/engine/transaction`. */
function inOneFamily(from: string, to: string): boolean {
  const [a, b] = [`${path.posix.dirname(from)}/`, `${path.posix.dirname(to)}/`];
  return a.startsWith(b) || b.startsWith(a) || roomOnFloor(from) === roomOnFloor(to);
}

/** The place in FLOORS that a file belongs to, so that `driver/pg` and `driver/pglite` are one folder. */
function roomOnFloor(file: string): string | undefined {
  return FLOORS.flatMap(({ places }) => places).find((place) => isWithin(file, place));
}

function mayClimb(from: string, to: string): boolean {
  const [above, below] = [floorOf(from), floorOf(to)];
  if (above === undefined || below === undefined) return true; // unplacedFiles reports it
  // The engine's door shows what lies behind it, on whatever floor.
  if (from === 'lib/engine/index.ts') return to.startsWith('lib/engine/');
  if (above !== below) return above > below;
  return inOneFamily(from, to) || NEIGHBOURS.some(([a, b]) => isWithin(from, a) && isWithin(to, b));
}

export function upwardImports(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path: from, imports }) =>
    imports
      .filter(({ target }) => target !== undefined && !mayClimb(from, target))
      .map(
        ({ target }) =>
          `${from} (floor ${floorOf(from)}) imports ${target} (floor ${floorOf(target ?? '')}): ask from below ` +
          `through an interface of your own, or move what is shared down`,
      ),
  );
}

/** Every ring of imports, as `a -> b -> a`. Type-only imports count: they tie two files together all the same. */
export function importRings(files: readonly SourceFile[]): string[] {
  const targets = new Map(
    files.map((file) => [file.path, file.imports.flatMap(({ target }) => target ?? [])]),
  );
  const finished = new Set<string>();
  const rings: string[] = [];
  const visit = (file: string, trail: readonly string[]): void => {
    const start = trail.indexOf(file);
    if (start >= 0) {
      rings.push([...trail.slice(start), file].join(' -> '));
      return;
    }
    if (finished.has(file)) return;
    for (const target of targets.get(file) ?? []) visit(target, [...trail, file]);
    finished.add(file);
  };
  for (const file of targets.keys()) visit(file, []);
  return rings;
}
