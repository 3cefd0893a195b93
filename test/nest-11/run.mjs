// Runs the tests that need Nest on NestJS 11: npm run test:nest-11 [-- test/nest/http ...]
// A copy of the checkout stands on the packages of this folder's lock file; what is not in it is found in the checkout's node_modules.
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const COPIED = [
  'lib',
  'test',
  'docs',
  'sample',
  'package.json',
  'tsconfig.base.json',
  'tsconfig.json',
  'vitest.config.ts',
];
const SUITES = ['test/nest', 'test/testing'];

const given = process.argv.slice(2);
const work = mkdtempSync(path.join(tmpdir(), 'nest-11-'));
const project = path.join(work, 'project');

process.on('exit', () => rmSync(work, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130));

expectEachPackage();
install();
copy();
process.exitCode = run('npx', [
  'vitest',
  'run',
  '--typecheck.enabled=false',
  '--reporter=default',
  '--reporter=./test/nest-11/skipped.mjs',
  ...(given.length > 0 ? given : SUITES),
]);

/** One that this folder does not name would be found in the checkout, with NestJS 12. */
function expectEachPackage() {
  const { dependencies } = readJson(HERE);
  const names = Object.keys(readJson(ROOT).devDependencies).filter((name) => name.startsWith('@nestjs/'));
  const missing = names.filter((name) => name !== '@nestjs/cli' && !(name in dependencies));
  if (missing.length === 0) return;
  console.error(`test/nest-11/package.json needs the version for NestJS 11 of ${missing.join(', ')}`);
  process.exit(2);
}

function readJson(folder) {
  return JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
}

function install() {
  mkdirSync(project);
  for (const file of ['package.json', 'package-lock.json'])
    copyFileSync(path.join(HERE, file), path.join(project, file));
  const status = run('npm', ['ci', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']);
  if (status !== 0) process.exit(status);
}

function copy() {
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(work, 'node_modules'));
  for (const name of COPIED)
    cpSync(path.join(ROOT, name), path.join(project, name), { recursive: true, filter: isSource });
}

/** What a build or an install has left in a folder is not copied. */
function isSource(place) {
  return !['node_modules', 'dist'].includes(path.basename(place));
}

function run(command, parameters) {
  return spawnSync(command, parameters, { cwd: project, stdio: 'inherit' }).status ?? 1;
}
