// Starts a sample on a free port, asks the address that it prints, stops it, and looks whether its PostgreSQL went with it.
// Usage: node test/package/check-sample.mjs npm start
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const START_LIMIT = 90_000;
const STOP_LIMIT = 20_000;

const root = fileURLToPath(new URL('../../', import.meta.url));
const [command, ...args] = process.argv.slice(2);
if (command === undefined) throw new Error('say how the sample is started, for example: npm start');

/** Every process as { pid, parent, name }: from /proc where there is one, else from ps. */
function processes() {
  if (process.platform !== 'linux') {
    const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,comm='], { encoding: 'utf8' })
      .trim()
      .split('\n');
    return lines.map((line) => {
      const [pid, parent, ...name] = line.trim().split(/\s+/);
      return { pid: Number(pid), parent: Number(parent), name: path.basename(name.join(' ')) };
    });
  }
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const [, name, state, parent] = /^\d+ \((.*)\) (\S) (\d+)/s.exec(
          readFileSync(`/proc/${pid}/stat`, 'utf8'),
        );
        return state === 'Z' ? [] : [{ pid: Number(pid), parent: Number(parent), name }];
      } catch {
        return []; // ended while we looked
      }
    });
}

function descendantsOf(pid) {
  const all = processes();
  const below = (parent) =>
    all.filter((one) => one.parent === parent).flatMap((one) => [one, ...below(one.pid)]);
  return below(pid);
}

const isAlive = (pid) => processes().some((one) => one.pid === pid);

async function until(condition, limit, complaint) {
  const deadline = Date.now() + limit;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(complaint());
    await delay(100);
  }
}

/** The group is the sample's own, so that the signal reaches npm, its shell and the application alike. */
function signal(child, name) {
  try {
    process.kill(-child.pid, name);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

const { DATABASE_URL: _, ...environment } = process.env;
const child = spawn(command, args, {
  cwd: root,
  detached: true,
  env: { ...environment, PORT: '0' },
  stdio: ['ignore', 'pipe', 'pipe'],
});
let output = '';
for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
const ended = once(child, 'exit');
let started = [];

try {
  const url = await until(
    () => {
      if (child.exitCode !== null)
        throw new Error(`the sample ended with code ${child.exitCode}:\n${output}`);
      return /https?:\/\/(localhost|127\.0\.0\.1|\[::1\]):\d+[\w/-]*/.exec(output)?.[0];
    },
    START_LIMIT,
    () => `the sample printed no address within ${START_LIMIT} ms:\n${output}`,
  );
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  console.log(`${url} answered ${response.status}: ${(await response.text()).slice(0, 200)}`);
  if (response.status >= 500) throw new Error(`the sample failed:\n${output}`);

  started = descendantsOf(child.pid);
  const servers = started.filter(({ name }) => name.startsWith('postgres'));
  if (servers.length === 0) throw new Error('the sample runs no PostgreSQL of its own');

  signal(child, 'SIGTERM');
  await until(
    () => !started.some(({ pid }) => isAlive(pid)),
    STOP_LIMIT,
    () =>
      `still running ${STOP_LIMIT} ms after SIGTERM: ${started
        .filter(({ pid }) => isAlive(pid))
        .map(({ name, pid }) => `${name} (${pid})`)
        .join(', ')}`,
  );
  await ended;
  console.log(`all ${started.length} processes ended, ${servers.length} of PostgreSQL among them`);
} catch (error) {
  console.log(error.message);
  process.exitCode = 1;
  signal(child, 'SIGKILL');
  for (const { pid } of started) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
}
