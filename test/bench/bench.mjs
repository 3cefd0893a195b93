// Builds what the benchmarks need, then hands over to src/main.ts. Everything a person can give it is in src/options.ts.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '../..');

/** Ends the process with the command's own exit code when it fails. */
function run(command, args, folder) {
  const { status, error } = spawnSync(command, args, { cwd: folder, stdio: ['ignore', 2, 2] });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

/** npm writes this file last, so it tells what was installed, and when. */
function isInstalled() {
  const written = path.join(here, 'node_modules/.package-lock.json');
  const wanted = path.join(here, 'package-lock.json');
  return existsSync(written) && statSync(written).mtimeMs >= statSync(wanted).mtimeMs;
}

if (!isInstalled()) run('npm', ['ci', '--prefix', here, '--no-audit', '--no-fund'], root);
// The library as a user of the package sees it: through its doors, built.
const library = path.join(here, 'node_modules/nest-async-engine');
if (!existsSync(library)) symlinkSync('../../..', library, 'dir');

run('npm', ['run', 'build'], root);
run(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc'), '-p', here], root);
await import('./dist/main.js');
