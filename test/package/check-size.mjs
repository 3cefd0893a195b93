// What the package costs: its size, and the files that an import of each door loads. Needs `npm run build` before.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const dist = path.join(root, 'dist');
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));

/** Bytes of the tarball: 1.5 % more than on 2026-11-29 (docs/adr/0034). */
const LARGEST_TARBALL = 661_000;

/** Files of ours: the door, and of `shared` what it cannot do without. There were 286 before they were put together. */
const MOST_FILES = 7;

/**
 * What an import of `node:util` reads, and so loads: 4 ms. Of `node:tls` the same, and pg asks for that where a server
 * has it; `node:net`, `node:fs/promises` and `perf_hooks` are needed later. On Node.js 20 pg loads some of them itself.
 */
const LOADED_FOR_NOBODY = [
  'internal/util/parse_args/parse_args',
  'worker_threads',
  'tls',
  'net',
  'fs/promises',
  'perf_hooks',
].map((name) => `NativeModule ${name}`);

/** Prints which modules of Node.js are loaded with the one that it is given. */
const LOAD_OF_NODE = `
await import(process.argv[1]);
console.log(JSON.stringify(process.moduleLoadList));
`;

/** Prints the files that are loaded by the one that it is given. */
const LOAD = `
import { Session } from 'node:inspector';
const session = new Session();
session.connect();
const loaded = [];
session.on('Debugger.scriptParsed', ({ params }) => loaded.push(params.url));
session.post('Debugger.enable');
const before = loaded.length;
await import(process.argv[1]);
console.log(JSON.stringify(loaded.slice(before)));
`;

function run(command, ...args) {
  return execFileSync(command, args, { cwd: root, encoding: 'utf8', shell: process.platform === 'win32' });
}

/** What `script` prints in a process of its own, of the module that it is given. */
function told(script, module) {
  const words = ['--input-type=module', '-e', script, module];
  return JSON.parse(execFileSync(process.execPath, words, { cwd: root, encoding: 'utf8' }));
}

/** Our files that an import of `file` loads, without the folder. */
function filesLoadedBy(file) {
  const urls = told(LOAD, pathToFileURL(file).href);
  const paths = urls.map((url) => (url.startsWith('file:') ? fileURLToPath(url) : url));
  return paths.filter((name) => name.startsWith(dist)).map((name) => path.relative(dist, name));
}

const failures = [];
function expect(condition, sentence) {
  console.log(`${condition ? 'ok     ' : 'FAILED '} ${sentence}`);
  if (!condition) failures.push(sentence);
}

const [{ size }] = JSON.parse(run('npm', 'pack', '--dry-run', '--json', '--ignore-scripts'));
expect(size <= LARGEST_TARBALL, `the tarball has ${size} bytes, of at most ${LARGEST_TARBALL}`);

for (const [door, target] of Object.entries(manifest.exports)) {
  if (typeof target === 'string') continue;
  for (const condition of ['import', 'require']) {
    const files = filesLoadedBy(path.join(root, target[condition].default));
    expect(
      files.length <= MOST_FILES,
      `${door} by ${condition} loads ${files.length} files, of at most ${MOST_FILES}: ${files.join(', ')}`,
    );
    const isLazy = door === './testing' || !files.some((name) => name.endsWith('embedded.js'));
    expect(isLazy, `${door} by ${condition} does not load the embedded server`);
  }
}

const byPg = new Set(told(LOAD_OF_NODE, 'pg'));
const byEngine = new Set(told(LOAD_OF_NODE, pathToFileURL(path.join(dist, 'engine/index.js')).href));
const extra = LOADED_FOR_NOBODY.filter((name) => byEngine.has(name) && !byPg.has(name));
expect(
  extra.length === 0,
  `the engine's door loads nothing of Node.js that nobody asks for${extra.map((name) => `, but ${name}`).join('')}`,
);

const scripts = readdirSync(dist, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.js'))
  .map((name) => ({ name, code: readFileSync(path.join(dist, name), 'utf8') }));
const sloppy = scripts.filter(
  ({ name, code }) => name.startsWith('cjs') && !code.startsWith('"use strict";'),
);
expect(sloppy.length === 0, `all CommonJS is strict${sloppy.map(({ name }) => `, but ${name}`).join('')}`);

const wide = scripts.filter(({ code }) => /[\u0100-\uffff]/.test(code));
expect(
  wide.length === 0,
  `every file takes one byte for a character${wide.map(({ name }) => `, but ${name}`).join('')}`,
);

const eager = scripts
  .filter(({ name }) => /(?:^|[\\/])engine\.js$/.test(name))
  .flatMap(({ code }) => code.split('\n'))
  .filter((line) => line.includes('\\p{') && !line.includes('String.raw`'));
expect(
  eager.length === 0,
  `no pattern with classes of Unicode is read at the start${eager.map((line) => `, but ${line.trim()}`).join('')}`,
);

const renamed = scripts.flatMap(({ code }) => code.match(/\bclass \w+\$\d+/g) ?? []);
expect(
  renamed.length === 0,
  `every class has the name that lib gives it${renamed.map((name) => `, but ${name}`).join('')}`,
);

process.exitCode = failures.length === 0 ? 0 : 1;
