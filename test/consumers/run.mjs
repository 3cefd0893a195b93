// Tests the test kit as its users do: packs the library, installs it beside each test runner in a copy of its folder, and
// runs the tests there. Needs `npm run build` before. Usage: node test/consumers/run.mjs [vitest] [jest]
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = path.join(here, '../..');
const consumers = process.argv.length > 2 ? process.argv.slice(2) : ['vitest', 'jest'];

function npm(cwd, args, stdio = ['ignore', 'pipe', 'inherit']) {
  const { TEST_DATABASE_URL: _url, DATABASE_URL: _other, ...env } = process.env;
  const shell = process.platform === 'win32';
  return execFileSync('npm', args, { cwd, env, encoding: 'utf8', stdio, shell });
}

const folder = mkdtempSync(path.join(tmpdir(), 'consumers-'));
const failed = [];
try {
  const packed = npm(root, ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]);
  const tarball = path.join(folder, JSON.parse(packed)[0].filename);
  for (const consumer of consumers) {
    const copy = path.join(folder, consumer);
    cpSync(path.join(here, 'shared'), copy, { recursive: true });
    cpSync(path.join(here, consumer), copy, { recursive: true });
    const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
    npm(copy, ['install', ...quiet, tarball]);
    try {
      npm(copy, ['test'], 'inherit');
      console.log(`ok      ${consumer}`);
    } catch {
      failed.push(consumer);
      console.log(`FAILED  ${consumer}`);
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failed.length === 0 ? 0 : 1;
