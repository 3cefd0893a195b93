// The tests by chance, long: node test/chaos/run.mjs chaos|fuzz [SEEDS] [SIZE]. Seeds are fresh and printed; the environment
// variable CHAOS_SEED or FUZZ_SEED repeats one. Four of them run at a time, for they mostly wait.
import { spawn } from 'node:child_process';

const PLANS = {
  chaos: { seeds: 10, size: 1_000, files: ['test/chaos'], variables: ['CHAOS_SEED', 'CHAOS_OPERATIONS'] },
  fuzz: {
    seeds: 3,
    size: 10_000,
    files: [
      'test/integration/driver/pg/wire-fuzz.spec.ts',
      'test/integration/driver/pg/wire-bytes.spec.ts',
      'test/integration/driver/pg/executemany-fuzz.spec.ts',
      'test/integration/transaction/nested-trees.spec.ts',
    ],
    variables: ['FUZZ_SEED', 'FUZZ_SIZE'],
  },
};
const LANES = 4;

const [name = 'chaos', ...numbers] = process.argv.slice(2);
const plan = PLANS[name];
if (plan === undefined) throw new Error(`no plan ${name}: one of ${Object.keys(PLANS).join(', ')}`);
const [seeds = plan.seeds, size = plan.size] = numbers.map(Number);
const given = process.env[plan.variables[0]];
const first = Number(given ?? Date.now() % 1_000_000);
const left = Array.from({ length: given === undefined ? seeds : 1 }, (_, index) => first + index);
const failed = [];

function run(seed) {
  const [seedVariable, sizeVariable] = plan.variables;
  const child = spawn(
    'npx',
    ['vitest', 'run', ...plan.files, '--typecheck.enabled=false', '--maxWorkers=2'],
    {
      env: { ...process.env, NO_COLOR: '1', [seedVariable]: String(seed), [sizeVariable]: String(size) },
    },
  );
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => output.push(chunk));
  return new Promise((resolve) => {
    child.once('close', (status) => resolve({ status, output: Buffer.concat(output).toString() }));
  });
}

async function lane() {
  for (let seed = left.shift(); seed !== undefined; seed = left.shift()) {
    const start = performance.now();
    const { status, output } = await run(seed);
    const seconds = ((performance.now() - start) / 1_000).toFixed(0);
    if (status !== 0) {
      failed.push(seed);
      console.log(output);
    }
    console.log(`seed ${seed}: ${status === 0 ? 'passed' : 'FAILED'} in ${seconds} s`);
  }
}

console.log(`${name}: seeds ${left.join(', ')}, size ${size}`);
await Promise.all(Array.from({ length: LANES }, lane));
console.log(
  failed.length === 0 ? `${name}: every seed passed` : `${name}: failed with the seeds ${failed.join(', ')}`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
