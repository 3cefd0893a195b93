// How much code one operation passes: the files and functions that run for it, by V8's precise coverage of the modules in
// `build`. It does not depend on how busy the machine is. Needs `npm run build` before; `--list` shows what ran.
import { Session } from 'node:inspector/promises';
import { createAsyncEngine, text } from '../../build/engine/index.js';
import { startEmbeddedPostgres } from '../../build/testing/index.js';

const BUILD = new URL('../../build/', import.meta.url).href;

/** The first runs prepare statements and fill caches. */
const RUNS_BEFORE = 10;

const select = text('SELECT :a::int4 AS a');

/** What is counted, and at most how many files and functions it may pass. */
const operations = {
  'engine.execute(SELECT), outside of a transaction': {
    most: { files: 30, functions: 115 },
    run: ({ engine }) => engine.execute(select, { a: 1 }).one(),
  },
  'engine.transaction(one SELECT)': {
    most: { files: 42, functions: 200 },
    run: ({ engine }) => engine.transaction(() => engine.execute(select, { a: 1 }).one()),
  },
  'connection.begin() and commit(), nothing sent': {
    most: { files: 18, functions: 45 },
    run: async ({ connection }) => (await connection.begin()).commit(),
  },
};

/** The functions that run in one call of `work`, by file. */
async function callsOf(session, work) {
  for (let run = 0; run < RUNS_BEFORE; run += 1) await work();
  await session.post('Profiler.takePreciseCoverage');
  await work();
  const { result } = await session.post('Profiler.takePreciseCoverage');
  const ours = result.filter(({ url }) => url.startsWith(BUILD));
  const called = ours.map(({ url, functions }) => {
    const names = functions
      .filter(({ functionName, ranges }) => functionName !== '' && ranges[0].count > 0)
      .map(({ functionName }) => functionName);
    return [url.slice(BUILD.length), names];
  });
  return new Map(called.filter(([, names]) => names.length > 0));
}

const failures = [];
const database = await startEmbeddedPostgres();
try {
  const engine = createAsyncEngine(database.url, { poolSize: 2 });
  const connection = await engine.connect();
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
  for (const [name, { most, run }] of Object.entries(operations)) {
    const called = await callsOf(session, () => run({ engine, connection }));
    const functions = [...called.values()].flat().length;
    const isFew = called.size <= most.files && functions <= most.functions;
    const counts = `${called.size} files and ${functions} functions, of at most ${most.files} and ${most.functions}`;
    console.log(`${isFew ? 'ok     ' : 'FAILED '} ${name} passes ${counts}`);
    if (!isFew) failures.push(name);
    if (process.argv.includes('--list'))
      for (const [file, names] of called) console.log(`          ${file}: ${names.join(' ')}`);
  }
  await connection.close();
  await engine.aclose();
} finally {
  await database.stop();
}
if (failures.length > 0) {
  console.error(
    `\n${failures.length} operations pass too much code: see it with --list, and merge what is one thing.`,
  );
  process.exit(1);
}
