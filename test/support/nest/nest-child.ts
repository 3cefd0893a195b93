import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const ENTRY = fileURLToPath(new URL('../fixtures/nest-server.ts', import.meta.url));

/** A Nest application in a process of its own. */
export interface NestChild {
  readonly url: string;
  readonly process: ChildProcess;
  /** How it ended, and what it wrote to stderr. */
  readonly ended: Promise<{
    readonly code: number | null;
    readonly signal: string | null;
    readonly complaints: string;
  }>;
}

/** Builds the server of fixtures/nest-server.ts once; gives what starts it, and what removes it. */
export async function buildNestServer(): Promise<{
  start(adapter: string, databaseUrl: string): Promise<NestChild>;
  remove(): Promise<void>;
}> {
  // Below node_modules, so that it finds its packages.
  const outDir = await mkdtemp(join(ROOT, 'node_modules', '.nest-child-'));
  await build({
    root: ROOT,
    configFile: false,
    logLevel: 'error',
    oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
    resolve: { tsconfigPaths: true },
    build: { ssr: ENTRY, outDir, emptyOutDir: false, minify: false, target: 'node20' },
  });
  return {
    start: (adapter, databaseUrl) => startChild(join(outDir, 'nest-server.js'), adapter, databaseUrl),
    remove: () => rm(outDir, { recursive: true, force: true }),
  };
}

async function startChild(script: string, adapter: string, databaseUrl: string): Promise<NestChild> {
  const child = spawn(process.execPath, ['--expose-gc', script, adapter], {
    env: { ...process.env, DATABASE_URL: databaseUrl },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let complaints = '';
  child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
  const ended = once(child, 'exit').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as string | null,
    complaints,
  }));
  const lines = createInterface({ input: child.stdout });
  const first = once(lines, 'line') as Promise<[string]>;
  const url = await Promise.race([first, ended.then(() => Promise.reject(new Error(complaints)))]);
  return { url: url[0], process: child, ended };
}
