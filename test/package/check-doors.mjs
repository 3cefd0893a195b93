// Packs the library, installs it with its peers in an empty folder and enters by every door of package.json "exports":
// by import and by require, which must give the same objects, and with the compiler. Needs `npm run build` before.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const doors = Object.entries(manifest.exports)
  .filter(([, target]) => typeof target === 'object')
  .map(([name]) => ({ name, specifier: path.posix.join(manifest.name, name), surface: readSurface(name) }));

let failures = 0;

function check(name, work) {
  try {
    work();
    console.log(`ok      ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`FAILED  ${name}\n${[error.message, error.stdout].filter(Boolean).join('\n')}`);
  }
}

function assert(condition, message) {
  if (!condition) throw new Error(message);
}

/** The committed list of a door: values by name, types marked as such. */
function readSurface(name) {
  const file = `${name === '.' ? 'index' : name.slice(2).replaceAll('/', '-')}.txt`;
  const lines = readFileSync(path.join(root, 'test/support/architecture/surface', file), 'utf8')
    .trim()
    .split('\n');
  return {
    values: lines.filter((line) => line !== '' && !line.startsWith('type ')),
    types: lines.filter((line) => line.startsWith('type ')).map((line) => line.slice('type '.length)),
  };
}

/** Members that are not the user's must not be in the types. */
function expectNothingInternal() {
  const marked = readdirSync(path.join(root, 'dist'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.d.ts'))
    .filter((name) => readFileSync(path.join(root, 'dist', name), 'utf8').includes('@internal'));
  assert(marked.length === 0, `@internal stands in ${marked.join(', ')}`);
}

function npm(folder, ...args) {
  const command = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const options = {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: process.platform === 'win32',
  };
  return execFileSync(command, [...args, '--no-audit', '--no-fund', '--loglevel=error'], options);
}

function node(folder, ...args) {
  return execFileSync(process.execPath, args, {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** What every application of Nest has. */
const NEST = ['@nestjs/common', '@nestjs/core', 'reflect-metadata', 'rxjs'];
/** The doors that open without Nest. */
const DOORS_WITHOUT_NEST = ['./engine', './migrations'];

/** The optional peers without which a door does not open, beside Nest. */
const PEERS_OF_DOORS = {
  './event-emitter': ['@nestjs/event-emitter'],
  './kysely': ['kysely'],
  './pg': ['@types/pg'],
  './terminus': ['@nestjs/terminus'],
  './opentelemetry': ['@opentelemetry/api'],
};

/** What a user has to install besides: the peers that are not optional. */
function peers() {
  const optional = manifest.peerDependenciesMeta ?? {};
  return Object.keys(manifest.peerDependencies ?? {}).filter((name) => optional[name]?.optional !== true);
}

/** In the version that the tests run with. */
const pinned = (name) => `${name}@${manifest.devDependencies[name] ?? manifest.peerDependencies[name]}`;

function install(folder, ...packages) {
  npm(folder, 'install', '--prefer-offline', '--ignore-scripts', ...packages);
}

function enter(folder, some) {
  for (const { name, specifier, surface } of some) {
    check(`${name} by import and by require`, () => node(folder, 'enter.mjs', specifier, ...surface.values));
  }
}

/** Every file that an entry of package.json "exports" leads to, under whatever condition. */
function filesOf(entry) {
  return typeof entry === 'string' ? [entry] : Object.values(entry).flatMap(filesOf);
}

function pack(folder) {
  const [{ filename, files }] = JSON.parse(
    npm(root, 'pack', '--json', '--ignore-scripts', '--pack-destination', folder),
  );
  const names = files.map(({ path: name }) => name);
  check('the package holds what it needs and nothing else', () => {
    for (const name of ['LICENSE', 'README.md', 'dist/cjs/package.json']) {
      assert(names.includes(name), `${name} is missing`);
    }
    for (const target of filesOf(manifest.exports)) {
      assert(names.includes(target.slice(2)), `${target} is missing: run npm run build`);
    }
    const stray = names.filter((name) => /\.tsbuildinfo$|\.spec\.ts$|^(test|sample|\.ci)\//.test(name));
    assert(stray.length === 0, `these do not belong in it: ${stray.join(', ')}`);
  });
  return path.join(folder, filename);
}

/** Runs in the consumer's folder: both ways in, the same objects, the committed names. */
const ENTER = `
import { createRequire } from 'node:module';
const [specifier, ...names] = process.argv.slice(2);
const required = createRequire(import.meta.url)(specifier);
const imported = await import(specifier);
const found = Object.keys(imported).sort();
if (found.join() !== names.sort().join()) throw new Error('exports ' + found + ', the committed list says ' + names);
for (const name of found) if (imported[name] !== required[name]) throw new Error(name + ' is another one by require');
`;

/** Runs in the consumer's folder: a class has one identity, whichever door it came through. */
const SAME = `
const doors = await Promise.all(process.argv.slice(2).map((specifier) => import(specifier)));
const seen = new Map();
for (const [name, value] of doors.flatMap((door) => Object.entries(door))) {
  if (seen.has(name) && seen.get(name) !== value) throw new Error(name + ' differs between two doors');
  seen.set(name, value);
}
`;

const REFUSED = `
const error = await import(process.argv[2]).then(() => undefined, (reason) => reason);
if (error?.code !== 'ERR_PACKAGE_PATH_NOT_EXPORTED') throw new Error('got ' + (error?.code ?? 'in'));
`;

function writeConsumer(folder) {
  writeFileSync(path.join(folder, 'enter.mjs'), ENTER);
  writeFileSync(path.join(folder, 'same.mjs'), SAME);
  writeFileSync(path.join(folder, 'refused.mjs'), REFUSED);
  const imports = doors.map(({ specifier }, index) => `import * as door${index} from '${specifier}';`);
  const types = doors.flatMap(({ specifier, surface }, index) =>
    surface.types.map((name) => `export type { ${name} as Type${index}${name} } from '${specifier}';`),
  );
  const values = doors.flatMap(({ surface }, index) =>
    surface.values.map((name) => `void door${index}.${name};`),
  );
  const code = [...imports, ...types, ...values, ''].join('\n');
  writeFileSync(path.join(folder, 'consumer.mts'), code);
  writeFileSync(path.join(folder, 'consumer.cts'), code);
  const compilerOptions = {
    target: 'es2023',
    lib: ['es2023', 'esnext.disposable'],
    module: 'nodenext',
    strict: true,
  };
  Object.assign(compilerOptions, {
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: false,
    types: ['node'],
  });
  const files = ['consumer.mts', 'consumer.cts'];
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
}

check('the types have no internal member', expectNothingInternal);

const folder = mkdtempSync(path.join(tmpdir(), 'check-doors-'));
try {
  const tarball = pack(folder);
  writeFileSync(
    path.join(folder, 'package.json'),
    JSON.stringify({ name: 'consumer', private: true, type: 'module' }),
  );
  const types = `@types/node@${manifest.devDependencies['@types/node']}`;
  install(folder, tarball, ...peers().map(pinned), types);
  writeConsumer(folder);
  const isAlone = ({ name }) => DOORS_WITHOUT_NEST.includes(name);
  enter(folder, doors.filter(isAlone));
  install(folder, ...NEST.map(pinned));
  enter(
    folder,
    doors.filter((door) => !isAlone(door) && PEERS_OF_DOORS[door.name] === undefined),
  );
  install(folder, ...Object.values(PEERS_OF_DOORS).flat().map(pinned));
  enter(
    folder,
    doors.filter(({ name }) => PEERS_OF_DOORS[name] !== undefined),
  );
  check('one identity through all doors', () =>
    node(folder, 'same.mjs', ...doors.map(({ specifier }) => specifier)),
  );
  check('no way in beside the doors', () => node(folder, 'refused.mjs', `${manifest.name}/dist/index.js`));
  check('the types compile as ESM and as CommonJS, libraries checked', () =>
    node(folder, path.join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.json'),
  );
} catch (error) {
  failures += 1;
  console.log(`FAILED  ${[error.message, error.stdout].filter(Boolean).join('\n')}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failures === 0 ? 0 : 1;
