import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { buildFixture } from './build-fixture.js';

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
  const { script, remove } = await buildFixture('memory-subject');
  return {
    run: (way, databaseUrl, rows) => runChild(script, [way, databaseUrl, `${rows}`]),
    remove,
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
