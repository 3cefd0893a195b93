import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const here = fileURLToPath(new URL('.', import.meta.url));
export const root = fileURLToPath(new URL('../..', import.meta.url));
export const QUIET = ['--no-audit', '--no-fund', '--prefer-offline'];

/** Runs a program in `cwd` without a database of ours; gives what it printed, or throws with it. */
export function run(cwd, command, args, { inherit = false } = {}) {
  const { TEST_DATABASE_URL: _url, DATABASE_URL: _other, NODE_OPTIONS: _options, ...env } = process.env;
  const stdio = inherit ? 'inherit' : ['ignore', 'pipe', 'pipe'];
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: 'utf8', stdio });
  if (status === 0) return { stdout, stderr };
  throw Object.assign(new Error(`${command} ${args.join(' ')} ended with ${status}`), { stdout, stderr });
}

export const npm = (cwd, args, options) => run(cwd, 'npm', args, options).stdout;
