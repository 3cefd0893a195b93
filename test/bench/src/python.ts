import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { AbsentError, BenchmarkError } from './benchmark-error.js';
import type { Round } from './protocol.js';

const folder = fileURLToPath(new URL('../python/', import.meta.url));
const requirements = path.join(folder, 'requirements.txt');
const environment = fileURLToPath(new URL('../node_modules/.python/', import.meta.url));
const installed = path.join(environment, 'installed.txt');
const interpreter = path.join(environment, 'bin/python');
/** Milliseconds for installing. */
const PATIENCE = 90_000;

/**
 * The interpreter of an environment in which the requirements are.
 *
 * @throws AbsentError where there is no Python, or they cannot be installed.
 */
export function preparePython(): string {
  const wanted = readFileSync(requirements, 'utf8');
  if (existsSync(installed) && readFileSync(installed, 'utf8') === wanted) return interpreter;
  rmSync(environment, { recursive: true, force: true });
  run('python3', ['-m', 'venv', environment]);
  run(interpreter, ['-m', 'pip', 'install', '--quiet', '--retries', '3', '-r', requirements]);
  writeFileSync(installed, wanted);
  return interpreter;
}

function run(command: string, words: readonly string[]): void {
  const { status } = spawnSync(command, words, { stdio: 'ignore', timeout: PATIENCE });
  if (status !== 0)
    throw new AbsentError('SQLAlchemy needs Python 3 and what pip can reach; one of them is missing.');
}

/** What the program says in a line. */
interface Line extends Partial<Round> {
  readonly error?: string;
}

/** A program in Python that is told one line and answers one line at a time. */
export class PythonProgram {
  readonly #process: ChildProcess;
  readonly #lines: Interface;

  private constructor(child: ChildProcess, lines: Interface) {
    this.#process = child;
    this.#lines = lines;
  }

  /** Resolves when it has taken its order. */
  static async start(file: string, order: unknown): Promise<PythonProgram> {
    const child = spawn(preparePython(), [path.join(folder, file)], { stdio: ['pipe', 'pipe', 'inherit'] });
    const program = new PythonProgram(child, createInterface({ input: child.stdout }));
    await program.tell(JSON.stringify(order));
    return program;
  }

  async tell(line: string): Promise<Partial<Round>> {
    const answered = once(this.#lines, 'line') as Promise<[string]>;
    const ended = once(this.#lines, 'close').then((): [string] => [
      JSON.stringify({ error: 'it has ended' }),
    ]);
    this.#process.stdin?.write(`${line}\n`);
    const [said] = await Promise.race([answered, ended]);
    const { error, ...round } = JSON.parse(said) as Line;
    if (error !== undefined) throw new BenchmarkError(`the program in Python failed: ${error}`);
    return round;
  }

  async close(): Promise<void> {
    const exited = once(this.#process, 'exit');
    this.#process.stdin?.end();
    await exited;
  }
}
