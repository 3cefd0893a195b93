// What a user of the package does: packs the library, installs it in each of these projects and runs what is there.
// Needs `npm run build` before. Usage: node test/consumers/run.mjs [--only NAME]..., or --list
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { npm, root } from './npm.mjs';
import { ownProject } from './own-project.mjs';
import { bundles } from './bundles.mjs';
import { runtimes } from './runtimes.mjs';
import { serverless } from './serverless.mjs';
import { stockProject } from './stock-project.mjs';
import { testKit } from './test-kit.mjs';

const CONSUMERS = {
  vitest: testKit,
  jest: testKit,
  // Everything that takes a pool of pg, in one install.
  tools: ownProject,
  // What cannot stand beside them: another version, or code that is generated.
  orms: (consumer) =>
    ownProject(consumer, 'tools', ['vitest.config.ts', 'test/tool.ts', 'test/global-setup.ts']),
  // GraphQL Yoga, which is for Nest 11.
  yoga: ownProject,
  // The agent of @nestjs/observe, with a collector that shows what it has seen.
  observe: ownProject,
  // An application of TypeORM in CommonJS, one service of which is moved to the engine.
  typeorm: ownProject,
  // BullMQ and messages with a real Redis, and jobs of the clock.
  queue: ownProject,
  bundles,
  runtimes,
  serverless,
  // As the CLI of that version makes them: CommonJS with Jest and ts-jest, and ES modules with Vitest.
  'nest-11': stockProject({ cli: '11.0.16', extension: '' }),
  'nest-12': stockProject({ cli: '12.0.8', extension: '.js' }),
};

if (process.argv.includes('--list')) {
  console.log(Object.keys(CONSUMERS).join('\n'));
  process.exit(0);
}

const given = process.argv.slice(2).filter((argument) => argument !== '--only');
const unknown = given.filter((name) => !(name in CONSUMERS));
if (unknown.length > 0) {
  console.error(`there is no consumer ${unknown.join(', ')}: ${Object.keys(CONSUMERS).join(', ')}`);
  process.exit(2);
}

const folder = mkdtempSync(path.join(tmpdir(), 'consumers-'));
const failed = [];
try {
  const packed = npm(root, ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]);
  const tarball = path.join(folder, JSON.parse(packed)[0].filename);
  for (const name of given.length > 0 ? given : Object.keys(CONSUMERS)) {
    const started = performance.now();
    let result = 'ok     ';
    try {
      await CONSUMERS[name]({ name, tarball, folder: path.join(folder, name) });
    } catch (error) {
      failed.push(name);
      result = 'FAILED ';
      console.log(error.message, error.stdout ?? '', error.stderr ?? '');
    }
    console.log(`${result} ${name} (${Math.round((performance.now() - started) / 1000)} s)`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failed.length === 0 ? 0 : 1;
