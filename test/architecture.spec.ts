import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import * as errors from '../lib/engine/errors/errors.js';
import * as serverErrors from '../lib/engine/errors/server-errors.js';
import { exportedNames, readDoors, surfaceFileOf, wildcardExports } from './support/architecture/doors.js';
import { unusedExports } from './support/architecture/exports.js';
import { strangersIn } from './support/architecture/rooms.js';
import { parseSource, readSources, ROOT } from './support/architecture/source-files.js';
import {
  drawStairs,
  fullRooms,
  HALL,
  importRings,
  unplacedFiles,
  upwardImports,
} from './support/architecture/stairs.js';
import {
  bareErrors,
  deepClasses,
  innerDoors,
  longFiles,
  longFunctions,
  sharedState,
  silencedTypes,
  wideComments,
} from './support/architecture/style.js';

const lib = readSources('lib');
const doors = readDoors();

describe('the house', () => {
  it('has a room for every file of lib, and nothing loose in the hall', () => {
    expect(unplacedFiles(lib)).toEqual([]);
  });

  it('is only walked down', () => {
    expect(upwardImports(lib)).toEqual([]);
  });

  it('has no ring', () => {
    expect(importRings(lib)).toEqual([]);
  });

  it('has rooms of at most 20 files and 2,000 lines of code', () => {
    expect(fullRooms(lib)).toEqual([]);
  });

  it('has a hall of at most ten files', () => {
    expect(HALL.length).toBeLessThanOrEqual(10);
  });

  it('calls only its doors index.ts', () => {
    expect(
      innerDoors(
        lib,
        doors.map(({ file }) => file.path),
      ),
    ).toEqual([]);
  });

  it('is drawn in docs/architecture.md as it stands', () => {
    const page = readFileSync(path.join(ROOT, 'docs/architecture.md'), 'utf8');
    expect(page).toContain(`\`\`\`text\n${drawStairs()}\n\`\`\``);
  });

  it('is entered by the doors, and each room knows only its own packages', () => {
    expect(strangersIn(lib)).toEqual([]);
  });
});

describe('every file of lib', () => {
  it('exports no value that no other file imports', () => {
    expect(
      unusedExports(
        lib,
        doors.map(({ file }) => file.path),
      ),
    ).toEqual([]);
  });

  it('has at most 300 lines of code', () => {
    expect(longFiles(lib)).toEqual([]);
  });

  it('has functions of at most 40 lines', () => {
    expect(longFunctions(lib)).toEqual([]);
  });

  it('has comments of at most 110 columns', () => {
    expect(wideComments(lib)).toEqual([]);
  });

  it('has no class with more than one class of ours above it', () => {
    expect(deepClasses(lib)).toEqual([]);
  });

  it('does without any and without silencing the compiler', () => {
    expect(silencedTypes(lib)).toEqual([]);
  });

  it('keeps its state in instances', () => {
    expect(sharedState(lib)).toEqual([]);
  });

  it('throws nothing but the errors of the tree', () => {
    expect(bareErrors(lib)).toEqual([]);
  });
});

describe('the surface', () => {
  it.each(doors)('of $name is written out by name', (door) => {
    expect(wildcardExports(door)).toEqual([]);
  });

  // A name that appears or goes is a decision: `npx vitest run test/architecture.spec.ts -u` writes the list anew.
  it.each(doors)('of $name is the committed one', async (door) => {
    const surface = path.join(ROOT, 'test/support/architecture/surface', surfaceFileOf(door));
    await expect(`${exportedNames(door).join('\n')}\n`).toMatchFileSnapshot(surface);
  });
});

describe('docs/errors.md', () => {
  const classes: Readonly<Record<string, new (message: string) => errors.EngineError>> = {
    ...errors,
    ...serverErrors,
  };
  const codes = Object.values(classes).map((ErrorClass) => new ErrorClass('a message').code);

  it('has one section for every code, and no other', () => {
    const page = readFileSync(path.join(ROOT, 'docs/errors.md'), 'utf8');
    const sections = [...page.matchAll(/^## (.+)$/gm)].map((match) => match[1] ?? '');
    expect(new Set(sections)).toEqual(new Set(codes));
    expect(sections).toHaveLength(codes.length);
  });

  it('is about classes that the door of the package has', () => {
    const names = doors.filter(({ name }) => name === '.').flatMap((door) => exportedNames(door));
    expect(Object.keys(classes).filter((name) => !names.includes(name))).toEqual([]);
  });

  it('tells every class by a code of its own', () => {
    expect(new Set(codes).size).toBe(codes.length);
  });
});

// The guards themselves: each must see the thing it is there for.
describe('the guards refuse', () => {
  const errorsFile = parseSource('lib/engine/errors/errors.ts', '');
  const engineFile = parseSource('lib/engine/engine.ts', '');

  it.each([
    'lib/engine/utils.ts',
    'lib/engine/helpers/list.ts',
    'lib/engine/driver/pg/extra/a.ts',
    'lib/engine/statement/inner/a.ts',
    'lib/cli/a.ts',
  ])('%s, which has no room', (name) => {
    expect(unplacedFiles([parseSource(name, '')])).toHaveLength(1);
  });

  it.each([
    ['a value from above', 'lib/engine/errors/errors.ts', `import { AsyncEngine } from '../engine.js';`],
    ['a type from above', 'lib/engine/errors/errors.ts', `import type { AsyncEngine } from '../engine.js';`],
    ['a type written in place', 'lib/engine/errors/errors.ts', `let a: import('../engine.js').AsyncEngine;`],
    ['a folder beside it', 'lib/engine/pool/pool.ts', `import '../result/cursor-result.js';`],
    ['the door from inside', 'lib/engine/pool/pool.ts', `export { AsyncEngine } from '../index.js';`],
    ['a higher room of a room', 'lib/engine/driver/pg/wire/a.ts', `import '../session/b.js';`],
    ['the application from the server beside it', 'lib/embedded/a.ts', `import '../nest/b.js';`],
  ])('%s', (_, name, text) => {
    expect(upwardImports([parseSource(name, text), engineFile, errorsFile])).toHaveLength(1);
  });

  it('a ring', () => {
    const one = parseSource('lib/rx/one.ts', `import type { B } from './two.js';`);
    const two = parseSource('lib/rx/two.ts', `import { A } from './one.js';`);
    expect(importRings([one, two])).toEqual(['lib/rx/one.ts -> lib/rx/two.ts -> lib/rx/one.ts']);
  });

  it.each([
    ['Nest in the engine', 'lib/engine/util/logger.ts', '@nestjs/common'],
    ['RxJS in the engine', 'lib/engine/result/async-result.ts', 'rxjs'],
    ['pg outside the driver', 'lib/engine/connection/connection.ts', 'pg'],
    ['a file of the engine behind its door', 'lib/rx/from-query.ts', '../engine/connection/connection.js'],
    ['Nest in the RxJS room', 'lib/rx/from-query.ts', '@nestjs/common'],
    ['pg in the Nest room', 'lib/nest/database.module.ts', 'pg'],
    ['a package that the user does not have', 'lib/testing/rollback-each.ts', 'vitest'],
    ['a built-in without node:', 'lib/engine/driver/pg/connect/pg-driver.ts', 'net'],
  ])('%s', (_, name, specifier) => {
    expect(strangersIn([parseSource(name, `import type { X } from '${specifier}';`)])).toHaveLength(1);
  });

  it.each([
    ['any', silencedTypes, 'const a = (b: any) => b;'],
    ['a cast to any', silencedTypes, 'f(b as any);'],
    ['a silenced compiler', silencedTypes, '// @ts-ignore\nf();'],
    ['a variable of the module', sharedState, 'let count = 0;'],
    ['a registry of the module', sharedState, 'const engines = new Map<string, string>();'],
    ['a static registry', sharedState, 'class A { static readonly all = new Set([1]); }'],
    ['a static that changes', sharedState, 'class A { static count = 0; }'],
    ['a bare error', bareErrors, `throw new Error('timeout');`],
    ['a file of 301 lines', longFiles, 'f();\n'.repeat(301)],
    ['a function of 41 lines', longFunctions, `function a() {\n${'f();\n'.repeat(41)}}`],
    ['a wide comment', wideComments, `// ${'wide '.repeat(30)}`],
    ['a chain of classes', deepClasses, 'class A {}\nclass B extends A {}\nclass C extends B {}'],
    ['a door inside', (files: Parameters<typeof bareErrors>[0]) => innerDoors(files, []), ''],
    [
      'an export for nothing',
      (files: Parameters<typeof bareErrors>[0]) => unusedExports(files, []),
      'export const a = 1;',
    ],
    ['a full room', (files: Parameters<typeof bareErrors>[0]) => fullRooms(files, { maxFiles: 0 }), ''],
  ])('%s', (_, guard, text) => {
    expect(guard([parseSource('lib/rx/index.ts', text)])).toHaveLength(1);
  });

  it('export *', () => {
    const text = `export * from './errors.js';\nexport * as all from './errors.js';`;
    expect(
      wildcardExports({ name: './engine', file: parseSource('lib/engine/index.ts', text) }),
    ).toHaveLength(2);
  });

  it('no name of a door: values, types and renamed ones are all in the list', () => {
    const text = `export { b, a as c, type D } from './x.js'; export type { A } from './y.js'; export const e = 1;`;
    const door = { name: '.', file: parseSource('lib/index.ts', text) };
    expect(exportedNames(door)).toEqual(['type A', 'type D', 'b', 'c', 'e']);
  });
});
