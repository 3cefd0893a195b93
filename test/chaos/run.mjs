// The chaos tests, long: node test/chaos/run.mjs [SEEDS] [OPERATIONS]. Each seed is fresh and printed; CHAOS_SEED repeats one.
import { spawnSync } from 'node:child_process';

const [seeds = '10', operations = '2000'] = process.argv.slice(2);
const given = process.env['CHAOS_SEED'];
const first = given === undefined ? Date.now() % 1_000_000 : Number(given);
const failed = [];

for (let index = 0; index < (given === undefined ? Number(seeds) : 1); index += 1) {
  const seed = String(first + index);
  console.log(`\n==> seed ${seed}, ${operations} operations`);
  const { status } = spawnSync('npx', ['vitest', 'run', 'test/chaos', '--no-file-parallelism'], {
    stdio: 'inherit',
    env: { ...process.env, CHAOS_SEED: seed, CHAOS_OPERATIONS: operations },
  });
  if (status !== 0) failed.push(seed);
}

console.log(failed.length === 0 ? '\nevery seed passed' : `\nfailed with the seeds ${failed.join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
