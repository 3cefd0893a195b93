import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { rolldown, type ModuleFormat, type OutputOptions } from 'rolldown';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { output } from '../../rolldown.config.js';

const run = promisify(execFile);
const ENTRY = path.resolve('lib/engine/index.ts');

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'bundle-'));
});

afterAll(() => rm(folder, { recursive: true }));

async function write(input: string, form: OutputOptions): Promise<void> {
  const made = await rolldown({
    input,
    platform: 'node',
    external: ['@electric-sql/pglite', 'pg-native'],
  });
  await made.write(form);
  await made.close();
}

/** The engine with all that it imports but Node's modules in one file with short names, as functions in the cloud are deployed. */
async function bundle(format: ModuleFormat): Promise<string> {
  const file = path.join(folder, format === 'cjs' ? 'bundle.cjs' : 'bundle.mjs');
  await write(ENTRY, { file, format, minify: true, codeSplitting: false });
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

/** The engine's door as it is published, and an application around it, in one minified file. */
async function bundleApplication(): Promise<string> {
  const library = path.join(folder, 'engine.mjs');
  const { intro = '', outro = '' } = output;
  await write(ENTRY, {
    file: library,
    format: 'esm',
    codeSplitting: false,
    intro,
    outro,
  });
  const main = path.join(folder, 'main.mjs');
  await writeFile(main, APPLICATION);
  const file = path.join(folder, 'application.mjs');
  await write(main, { file, format: 'esm', minify: true, codeSplitting: false });
  return file;
}

const APPLICATION = `
  import { AsyncLocalStorage } from 'node:async_hooks';
  import { createAsyncEngine, text } from './engine.mjs';
  const engine = createAsyncEngine('postgresql://h/d');
  class Orders {
    place() {
      return engine.transaction(() => AsyncLocalStorage.bind(() => engine.scalar(text('SELECT 1'))));
    }
  }
  const late = await new Orders().place();
  await late().catch((error) => console.log(error.message));`;

it('names the place in the application where both are in one minified file', async () => {
  const { stdout } = await run(process.execPath, [await bundleApplication()]);
  expect(stdout).toMatch(/^the transaction started at \w+\.place \(.*application\.mjs:\d+:\d+\)/);
});
