import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const ENTRY = fileURLToPath(new URL('../fixtures/memory-subject.ts', import.meta.url));

/** What a process of its own found out about itself. */
export interface MemoryReport {
  readonly rows: number;
  /** Bytes, at most, above what it needed when it was open and had done nothing. */
  readonly aboveIdle: number;
}

/** Builds fixtures/memory-subject.ts once; gives what runs it, and what removes it. */
export async function buildMemorySubject(): Promise<{
  run(way: string, databaseUrl: string, rows: number): Promise<MemoryReport>;
  remove(): Promise<void>;
}> {
  // Below node_modules, so that it finds its packages.
  const outDir = await mkdtemp(join(ROOT, 'node_modules', '.memory-child-'));
  await build({
    root: ROOT,
    configFile: false,
    logLevel: 'error',
    resolve: { tsconfigPaths: true },
    build: { ssr: ENTRY, outDir, emptyOutDir: false, minify: false, target: 'node20' },
  });
  return {
    run: (way, databaseUrl, rows) =>
      runChild(join(outDir, 'memory-subject.js'), [way, databaseUrl, `${rows}`]),
    remove: () => rm(outDir, { recursive: true, force: true }),
  };
}

async function runChild(script: string, words: readonly string[]): Promise<MemoryReport> {
  const child = spawn(process.execPath, ['--expose-gc', script, ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => said.push(chunk));
  await once(child, 'close');
  return JSON.parse(Buffer.concat(said).toString()) as MemoryReport;
}
