// Builds one sample and starts it: `npm run sample 03`, and the first one: `npm start`. DATABASE_URL and PORT reach it as they are.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));
const samples = readdirSync(folder).filter((name) => /^\d\d-/.test(name));
const [wanted = '01'] = process.argv.slice(2);
const sample = samples.find((name) => name.startsWith(wanted));

if (sample === undefined) {
  console.error(`There is no sample '${wanted}'. There are:\n  ${samples.join('\n  ')}`);
  process.exitCode = 1;
} else {
  const compiler = path.join(folder, '../node_modules/typescript/bin/tsc');
  const built = spawnSync(process.execPath, [compiler, '-b', path.join(folder, sample)], {
    stdio: 'inherit',
  });
  process.exitCode = built.status ?? 1;
  // The page of the database names lines of code: those of TypeScript.
  process.setSourceMapsEnabled(true);
  process.env.NODE_ENV ??= 'development';
  // In this process, so that a Ctrl-C reaches the sample and nobody else.
  if (built.status === 0) await import(pathToFileURL(path.join(folder, sample, 'dist/main.js')).href);
}
