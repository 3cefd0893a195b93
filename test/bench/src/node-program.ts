import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { BenchmarkError } from './benchmark-error.js';

/** What is run for `--node <major>`. */
const VERSIONS: Readonly<Record<string, string>> = {
  20: '20.20.2',
  22: '22.23.5',
  24: '24.22.3',
  26: '26.12.1',
};

/** As npm names the package that holds Node.js for this machine. */
const PACKAGE = `node-${process.platform}-${process.arch}`;
const cache = fileURLToPath(new URL('../node_modules/.node/', import.meta.url));

/** A Node.js that runs contenders. */
export interface NodeProgram {
  readonly version: string;
  readonly path: string;
}

/** The one that runs this. */
export const OWN_NODE: NodeProgram = { version: process.versions.node, path: process.execPath };

/**
 * The Node.js of that major version, installed where it is not this one.
 *
 * @throws BenchmarkError for a version that nobody has promised, or that cannot be installed.
 */
export function nodeProgram(major: string): NodeProgram {
  if (OWN_NODE.version.startsWith(`${major}.`)) return OWN_NODE;
  const version = VERSIONS[major];
  if (version === undefined) {
    throw new BenchmarkError(`--node got '${major}'; it takes ${Object.keys(VERSIONS).join(', ')}.`);
  }
  const folder = path.join(cache, version);
  const program = path.join(folder, 'node_modules', PACKAGE, 'bin', 'node');
  if (!existsSync(program)) install(folder, `${PACKAGE}@${version}`);
  return { version, path: program };
}

function install(folder: string, name: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'package.json'), '{ "private": true }');
  const words = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', name];
  const { status } = spawnSync('npm', words, { cwd: folder, stdio: ['ignore', 2, 2] });
  if (status !== 0) throw new BenchmarkError(`npm could not install ${name}. Leave that --node out.`);
}
