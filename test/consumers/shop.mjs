import { spawn, spawnSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { here, npm, QUIET } from './npm.mjs';

const EXPECTED = {
  statuses: [201, 500],
  counted: { orders: 1, onLoan: 0 },
  name: 'ProgrammingError',
  left: 0,
};

/** The project `shop`, with further packages, and a PostgreSQL beside it while `work` runs. */
export async function withShop({ tarball, folder }, packages, work) {
  cpSync(path.join(here, 'shop'), folder, { recursive: true });
  npm(folder, ['install', ...QUIET, '--loglevel=error', tarball, ...packages]);
  const server = spawn(process.execPath, ['server.mjs'], { cwd: folder, stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    const lines = createInterface({ input: server.stdout });
    const [url] = await once(lines, 'line');
    await work(folder, url);
  } finally {
    const ended = once(server, 'exit');
    server.stdin.end();
    await ended;
  }
}

/** Runs a program of the shop; what it prints last must be what every build of it prints. */
export function expectShop(folder, url, [command, ...args], expected = EXPECTED) {
  const { TEST_DATABASE_URL: _url, NODE_OPTIONS: _options, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: folder,
    env: { ...env, DATABASE_URL: url },
    encoding: 'utf8',
    timeout: 60_000,
  });
  const answer = stdout?.trim().split('\n').at(-1);
  const called = [path.basename(command), ...args].join(' ');
  if (status !== 0 || answer !== JSON.stringify(expected)) {
    throw Object.assign(new Error(`${called} ended with ${status} and said ${answer}`), { stdout, stderr });
  }
  console.log(`  right: ${called}`);
}
