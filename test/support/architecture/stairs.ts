import path from 'node:path';
import type { SourceFile } from './source-files.js';

/** A house of rooms: steps from the ground up, each with the folders that stand on it. `''` is the folder itself. */
type Steps = readonly (readonly string[])[];

/**
 * Where a file may look: into its own folder, and into the folders of lower steps. Folders on one step never look at each
 * other. The path of a file is its placement, so that a new file needs no entry here; a new folder does.
 */
export const STAIRS: Readonly<Record<string, Steps>> = {
  lib: [
    ['engine'],
    ['rx', 'embedded', 'pg', 'cls', 'opentelemetry', 'migrations'],
    ['nest'],
    ['testing'],
    [''],
  ],
  'lib/engine': [
    ['errors'],
    ['util'],
    ['statement'],
    ['driver'],
    ['pool', 'result', 'transaction'],
    ['execution'],
    ['connection'],
    ['ambient'],
    [''],
  ],
  'lib/engine/driver': [[''], ['url', 'types'], ['pg'], ['pglite']],
  'lib/engine/driver/pg': [['wire'], ['prepared', 'cancel'], ['session'], ['connect']],
  'lib/engine/pool': [[''], ['kinds'], ['replicas']],
  'lib/engine/result': [[''], ['text']],
  'lib/engine/execution': [['copy'], [''], ['sharing']],
  'lib/pg': [[''], ['kysely']],
  'lib/nest': [
    ['shared'],
    ['graphql'],
    ['transactional', 'request-scope', 'http'],
    ['event-emitter', 'terminus', 'opentelemetry', ''],
    ['devtools'],
  ],
  'lib/nest/devtools': [['page'], ['recording'], ['']],
  'lib/testing': [['record'], ['rollback'], ['']],
};

/** The hall of the engine. One more file in it is a decision. */
export const HALL: readonly string[] = [
  'index.ts',
  'engine.ts',
  'create-async-engine.ts',
  'create-driver.ts',
  'engine-from-config.ts',
  'engine-options.ts',
  'resolve-engine-options.ts',
  'engine-events.ts',
  'engine-listeners.ts',
  'engine-runner.ts',
];

const HOUSES = Object.keys(STAIRS);

/** `pool/pool.ts` in `lib/engine` stands in the room `pool`; `engine.ts` in its hall, `''`. */
function roomIn(house: string, file: string): string {
  const [room = '', ...rest] = file.slice(house.length + 1).split('/');
  return rest.length === 0 ? '' : room;
}

function stepOf(house: string, room: string): number {
  return STAIRS[house]?.findIndex((rooms) => rooms.includes(room)) ?? -1;
}

/** Those that hold a folder with `file` in it, and so have steps: `lib`, `lib/rx` for `lib/rx/a/b.ts`. */
function foldersAround(file: string): string[] {
  const names = file.split('/').slice(0, -1);
  return names
    .map((_, index) => names.slice(0, index + 1).join('/'))
    .filter((folder, index) => {
      return index < names.length - 1 || folder in STAIRS;
    });
}

const isIn = (house: string, file: string): boolean => file.startsWith(`${house}/`);

/** The rooms that stand on no step, and what lies loose in the engine's hall. */
export function unplacedFiles(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path: file }) => {
    const homeless = foldersAround(file)
      .filter((house) => stepOf(house, roomIn(house, file)) < 0)
      .map(
        (house) =>
          `${file}: ${house} has no room '${roomIn(house, file)}' in test/support/architecture/stairs.ts`,
      );
    const isLoose = path.posix.dirname(file) === 'lib/engine' && !HALL.includes(path.posix.basename(file));
    return isLoose
      ? [...homeless, `${file} lies loose in the hall of the engine: give it to a room`]
      : homeless;
  });
}

/** The innermost house that holds both files decides. A door may show everything of its house. */
function mayLookAt(from: string, to: string): boolean {
  const house = HOUSES.filter((name) => isIn(name, from) && isIn(name, to)).sort(
    (a, b) => b.length - a.length,
  )[0];
  if (house === undefined) return true;
  const [own, other] = [roomIn(house, from), roomIn(house, to)];
  return own === other || stepOf(house, own) > stepOf(house, other);
}

export function upwardImports(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path: from, imports }) =>
    imports
      .filter(({ target }) => target !== undefined && !mayLookAt(from, target))
      .map(
        ({ target }) =>
          `${from} imports ${target}, which is not on a lower step: ask from below through an interface of your ` +
          'own, or move what is shared down',
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

/** A room that holds more than one mind can: it needs rooms inside. */
export function fullRooms(files: readonly SourceFile[], { maxFiles = 20, maxLines = 2_000 } = {}): string[] {
  const rooms = new Map<string, { files: number; lines: number }>();
  for (const file of files) {
    const folder = path.posix.dirname(file.path);
    const room = rooms.get(folder) ?? { files: 0, lines: 0 };
    rooms.set(folder, { files: room.files + 1, lines: room.lines + codeLines(file.text) });
  }
  return [...rooms]
    .filter(([, room]) => room.files > maxFiles || room.lines > maxLines)
    .map(
      ([folder, room]) =>
        `${folder} has ${room.files} files and ${room.lines} lines of code: give it inner rooms`,
    );
}

/** Lines that are neither blank nor only a comment. */
export function codeLines(text: string): number {
  return text.split('\n').filter((line) => !/^\s*($|\/\/|\/?\*)/.test(line)).length;
}

const title = (house: string, room: string): string => (room === '' ? '(its own files)' : `${house}/${room}`);

/** The stairs as docs/architecture.md shows them, from the top down. */
export function drawStairs(): string {
  return HOUSES.map((house) => {
    const steps = (STAIRS[house] ?? []).map(
      (rooms, index) =>
        `${String(index + 1).padStart(4)}  ${rooms.map((room) => title(house, room)).join(' | ')}`,
    );
    return [house, ...steps.toReversed()].join('\n');
  }).join('\n\n');
}
