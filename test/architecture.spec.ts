import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import * as errors from '../lib/engine/errors.js';
import { exportedNames, readDoors, surfaceFileOf, wildcardExports } from './support/architecture/doors.js';
import { importRings, unplacedFiles, upwardImports } from './support/architecture/floors.js';
import { strangersIn } from './support/architecture/rooms.js';
import { parseSource, readSources, ROOT } from './support/architecture/source-files.js';
import { bareErrors, longFiles, sharedState, silencedTypes } from './support/architecture/style.js';

const lib = readSources('lib');
const doors = readDoors();

describe('the staircase', () => {
  it('has a floor for every file of lib', () => {
    expect(unplacedFiles(lib)).toEqual([]);
  });

  it('is only walked down', () => {
    expect(upwardImports(lib)).toEqual([]);
  });

  it('has no ring', () => {
    expect(importRings(lib)).toEqual([]);
  });

  it('is entered by the doors, and each room knows only its own packages', () => {
    expect(strangersIn(lib)).toEqual([]);
  });
});

describe('every file of lib', () => {
  it('has at most 300 lines', () => {
    expect(longFiles(lib)).toEqual([]);
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
  const codes = Object.values(errors).map((ErrorClass) => new ErrorClass('a message').code);

  it('has one section for every code, and no other', () => {
    const page = readFileSync(path.join(ROOT, 'docs/errors.md'), 'utf8');
    const sections = [...page.matchAll(/^## (.+)$/gm)].map((match) => match[1] ?? '');
    expect(new Set(sections)).toEqual(new Set(codes));
    expect(sections).toHaveLength(codes.length);
  });

  it('tells every class by a code of its own', () => {
    expect(new Set(codes).size).toBe(codes.length);
  });
});

// The guards themselves: each must see the thing it is there for.
describe('the guards refuse', () => {
  const errorsFile = parseSource('lib/engine/errors.ts', '');
  const engineFile = parseSource('lib/engine/engine.ts', '');

  it('a file of the engine that nobody placed', () => {
    expect(unplacedFiles([parseSource('lib/engine/utils.ts', '')])).toHaveLength(1);
  });

  it.each([
    ['a value from above', 'lib/engine/errors.ts', `import { AsyncEngine } from './engine.js';`],
    ['a type from above', 'lib/engine/errors.ts', `import type { AsyncEngine } from './engine.js';`],
    ['a type written in place', 'lib/engine/errors.ts', `let a: import('./engine.js').AsyncEngine;`],
    ['a folder beside it', 'lib/engine/pool/pool.ts', `import '../result/cursor-result.js';`],
    ['the door from inside', 'lib/engine/pool/pool.ts', `export { AsyncEngine } from '../index.js';`],
  ])('%s', (_, name, text) => {
    expect(upwardImports([parseSource(name, text), engineFile, errorsFile])).toHaveLength(1);
  });

  it('a ring', () => {
    const one = parseSource('lib/engine/url.ts', `import type { B } from './types.js';`);
    const two = parseSource('lib/engine/types.ts', `import { A } from './url.js';`);
    expect(importRings([one, two])).toEqual([
      'lib/engine/url.ts -> lib/engine/types.ts -> lib/engine/url.ts',
    ]);
  });

  it.each([
    ['Nest in the engine', 'lib/engine/log.ts', '@nestjs/common'],
    ['RxJS in the engine', 'lib/engine/result/async-result.ts', 'rxjs'],
    ['pg outside the driver', 'lib/engine/connection.ts', 'pg'],
    ['a file of the engine behind its door', 'lib/rx/from-query.ts', '../engine/connection.js'],
    ['Nest in the RxJS room', 'lib/rx/from-query.ts', '@nestjs/common'],
    ['pg in the Nest room', 'lib/nest/database.module.ts', 'pg'],
    ['a package that the user does not have', 'lib/testing/rollback-each.ts', 'vitest'],
    ['a built-in without node:', 'lib/engine/driver/pg/pg-driver.ts', 'net'],
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
  ])('%s', (_, guard, text) => {
    expect(guard([parseSource('lib/engine/errors.ts', text)])).toHaveLength(1);
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
