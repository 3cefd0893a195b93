import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildFixture } from '../support/process/build-fixture.js';
import { createDatabase, type TestDatabase } from '../support/server/postgres.js';

const PTY = 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))';
const UNTIL_GO =
  'DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM go) LOOP PERFORM pg_sleep(0.05); END LOOP; END $$';

let script: string;
let remove: () => Promise<void>;
let dir: string;
let database: TestDatabase;

beforeAll(async () => {
  ({ script, remove } = await buildFixture('migrating'));
}, 120_000);
beforeEach(async () => {
  database = await createDatabase('terminal');
  dir = await mkdtemp(path.join(tmpdir(), 'terminal-'));
  await writeFile(path.join(dir, '0002-quick.sql'), 'SELECT 1');
});
afterEach(async () => {
  await rm(dir, { recursive: true });
  await database.drop();
});
afterAll(() => remove());

describe.runIf(process.platform === 'linux')('a person who waits for migrations', () => {
  it('sees on a terminal which file runs and since when, and a clean line behind it', async () => {
    await database.query('CREATE TABLE go (id int)');
    await writeFile(path.join(dir, '0001-slow.sql'), UNTIL_GO);
    const child = spawn('python3', ['-c', PTY, process.execPath, script, database.url, dir], {
      env: { ...process.env, TERM: 'xterm' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit');
    let seen = '';
    child.stdout.on('data', (data: Buffer) => (seen += data.toString()));
    const line = (seconds: number): string => `\r\u001b[Kmigrations: 1 of 2, 0001-slow.sql (${seconds} s)\r`;
    await expect.poll(() => seen, { timeout: 30_000 }).toContain(line(2));
    await database.query('INSERT INTO go VALUES (1)');
    expect(await ended).toEqual([0, null]);
    expect(seen.startsWith(line(1) + line(2))).toBe(true);
    expect(seen.endsWith('\r\u001b[K')).toBe(true);
    expect(seen).not.toContain('\n');
  }, 60_000);

  it('finds nothing of it in a pipe', async () => {
    await writeFile(path.join(dir, '0001-slow.sql'), 'SELECT pg_sleep(1.5)');
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [script, database.url, dir]);
    expect(stdout + stderr).toBe('');
  }, 60_000);
});
