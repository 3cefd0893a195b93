import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { AbsentError, BenchmarkError } from './benchmark-error.js';
import type { Profile } from './profile.js';
import type { Answer, OpenOrder, Order, Round } from './protocol.js';

/** Milliseconds within which a contender must answer, where its workload says nothing else. */
const PATIENCE = 120_000;

/** How the process of a contender runs. */
export interface ProcessSettings {
  /** The program: a Node.js. */
  readonly node: string;
  /** URL of the folder of another build of the library. */
  readonly library?: string | undefined;
  /** Milliseconds within which it must answer. */
  readonly patience?: number | undefined;
}

const USE_LIBRARY = new URL('use-library.js', import.meta.url).href;

/** The process of one contender, seen from the runner. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #patience: number;

  private constructor(child: ChildProcess, name: string, patience: number) {
    this.#child = child;
    this.#name = name;
    this.#patience = patience;
  }

  /** Resolves when the contender is open and its first result was right. */
  static async open(
    order: Omit<OpenOrder, 'kind'>,
    { node, library, patience = PATIENCE }: ProcessSettings,
  ): Promise<WorkerProcess> {
    const child = fork(fileURLToPath(new URL('worker.js', import.meta.url)), {
      execPath: node,
      execArgv: ['--expose-gc', ...(library === undefined ? [] : ['--import', USE_LIBRARY])],
      env: { ...process.env, BENCH_LIBRARY: library },
    });
    const worker = new WorkerProcess(child, `${order.workload}: ${order.contender}`, patience);
    try {
      await worker.#ask({ kind: 'open', ...order });
      return worker;
    } catch (error) {
      await worker.close();
      throw error;
    }
  }

  async round(): Promise<Round> {
    const answer = await this.#ask({ kind: 'round' });
    if (answer.kind === 'done') return answer.round;
    throw new BenchmarkError(`${this.#name} answered '${answer.kind}' to a round. See worker.ts.`);
  }

  async profile(): Promise<Profile> {
    const answer = await this.#ask({ kind: 'profile' });
    if (answer.kind === 'profiled') return answer.profile;
    throw new BenchmarkError(`${this.#name} answered '${answer.kind}' to a profile. See worker.ts.`);
  }

  /** Ends the process, by force when it does not end by itself. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    if (this.#child.connected) this.#child.send({ kind: 'close' } satisfies Order);
    await exited;
    clearTimeout(timer);
  }

  async #ask(order: Order): Promise<Answer> {
    const settled = new AbortController();
    const { signal } = settled;
    const timer = setTimeout(() => settled.abort(), this.#patience);
    try {
      const message = once(this.#child, 'message', { signal }).then(([answer]) => answer as Answer);
      const exit = once(this.#child, 'exit', { signal }).then(([code]): Answer => {
        return { kind: 'failed', reason: `its process ended with exit code ${String(code)}` };
      });
      this.#child.send(order);
      const answer = await Promise.race([message, exit]).catch((): Answer => {
        return { kind: 'failed', reason: `no answer to '${order.kind}' within ${this.#patience} ms` };
      });
      exit.catch(() => undefined);
      message.catch(() => undefined);
      if (answer.kind === 'absent') throw new AbsentError(answer.reason);
      if (answer.kind === 'failed') throw new BenchmarkError(`${this.#name}: ${answer.reason}`);
      return answer;
    } finally {
      clearTimeout(timer);
      settled.abort();
    }
  }
}
