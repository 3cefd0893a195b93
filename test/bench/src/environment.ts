import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

/** What the figures depend on. Names no host and no folder. */
export interface Environment {
  readonly processors: string;
  /** GiB. */
  readonly memory: number;
  readonly platform: string;
  readonly node: string;
  readonly postgresql: string;
  /** By package name. */
  readonly versions: Readonly<Record<string, string>>;
}

interface Manifest {
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const FROM_ROOT = ['@nestjs/core', '@nestjs/platform-fastify', 'rxjs'];
const UNINTERESTING = ['reflect-metadata'];

/** `node` is the version that runs the contenders. */
export function describeEnvironment(postgresql: string, node: string): Environment {
  const [first] = cpus();
  const root = readManifest('../../../package.json');
  const peers = Object.entries(readManifest('../package.json').dependencies ?? {});
  const ofRoot = FROM_ROOT.map((name): [string, string] => [name, root.devDependencies?.[name] ?? 'unknown']);
  const others = [...peers.filter(([name]) => !UNINTERESTING.includes(name)), ...ofRoot];
  return {
    processors: `${cpus().length} × ${first?.model.trim() ?? 'unknown'}`,
    memory: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    node,
    postgresql,
    versions: { 'nest-async-engine': root.version, ...Object.fromEntries(others) },
  };
}

function readManifest(path: string): Manifest {
  return JSON.parse(readFileSync(fileURLToPath(new URL(path, import.meta.url)), 'utf8')) as Manifest;
}
