import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { rolldown, type ModuleFormat } from 'rolldown';
import { afterAll, beforeAll, expect, it } from 'vitest';

const run = promisify(execFile);
const ENTRY = path.resolve('lib/engine/index.ts');

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'bundle-'));
});

afterAll(() => rm(folder, { recursive: true }));

/** The engine with all that it imports but Node's modules in one file with short names, as functions in the cloud are deployed. */
async function bundle(format: ModuleFormat): Promise<string> {
  const made = await rolldown({
    input: ENTRY,
    platform: 'node',
    external: ['@electric-sql/pglite', 'pg-native'],
  });
  const file = path.join(folder, format === 'cjs' ? 'bundle.cjs' : 'bundle.mjs');
  await made.write({ file, format, minify: true, codeSplitting: false });
  await made.close();
  return file;
}

const PROGRAM = `
  try { engine.createAsyncEngine('postgresql://h/d?nothing=1'); } catch (error) { console.log(error.name); }`;

it.each([
  ['cjs', (file: string) => ['-e', `const engine = require(${JSON.stringify(file)});${PROGRAM}`]],
  [
    'esm',
    (file: string) => [
      '--input-type=module',
      '-e',
      `import * as engine from ${JSON.stringify(file)};${PROGRAM}`,
    ],
  ],
] as const)('runs from a minified %s bundle, and its errors keep their names', async (format, command) => {
  const { stdout } = await run(process.execPath, command(await bundle(format)));
  expect(stdout).toBe('ArgumentError\n');
});
