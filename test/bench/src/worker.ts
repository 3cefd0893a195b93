import { AbsentError, BenchmarkError } from './benchmark-error.js';
import { profileOf, type Profile } from './profile.js';
import type { Answer, OpenOrder, Order, Round } from './protocol.js';
import type { Contender, Subject } from './workload.js';
import { ALL_WORKLOADS } from './workloads/index.js';

/** One contender in a process of its own. */
class Worker {
  readonly #subject: Subject;
  readonly #idle: number;

  constructor(subject: Subject) {
    this.#subject = subject;
    globalThis.gc?.();
    this.#idle = process.memoryUsage.rss();
  }

  static async open({ workload, contender, url, directUrl, size }: OpenOrder): Promise<Worker> {
    return new Worker(await contenderOf(workload, contender).open({ url, directUrl, size }));
  }

  async round(): Promise<Round> {
    await this.#subject.prepare?.();
    // No collection is forced here: while nothing is under way, it takes the shapes of all objects with it, and V8 throws away
    // the optimized code that knew them. What follows would be measured cold.
    const cpuBefore = process.cpuUsage();
    const before = process.hrtime.bigint();
    const own = await this.#subject.run();
    const wall = Number(process.hrtime.bigint() - before);
    const { user, system } = process.cpuUsage(cpuBefore);
    const peak = process.resourceUsage().maxRSS * 1_024;
    await this.#subject.verify?.();
    return { wall, cpu: (user + system) * 1_000, peak, idle: this.#idle, ...own };
  }

  async profile(): Promise<Profile> {
    await this.#subject.prepare?.();
    const profile = await profileOf(async () => void (await this.#subject.run()));
    await this.#subject.verify?.();
    return profile;
  }

  close(): Promise<void> {
    return this.#subject.close();
  }
}

function contenderOf(workloadName: string, name: string): Contender {
  const workload = ALL_WORKLOADS.find((candidate) => candidate.name === workloadName);
  const contender = workload?.contenders.find((candidate) => candidate.name === name);
  if (contender !== undefined) return contender;
  throw new BenchmarkError(`there is no ${name} in ${workloadName}. See workloads/index.ts.`);
}

async function obey(order: Order, worker: Worker | undefined): Promise<Worker | undefined> {
  switch (order.kind) {
    case 'open': {
      const opened = await Worker.open(order);
      answer({ kind: 'ready' });
      return opened;
    }
    case 'round':
      if (worker === undefined) throw new BenchmarkError('a round before open. Open first.');
      answer({ kind: 'done', round: await worker.round() });
      return worker;
    case 'profile':
      if (worker === undefined) throw new BenchmarkError('a profile before open. Open first.');
      answer({ kind: 'profiled', profile: await worker.profile() });
      return worker;
    case 'close':
      await worker?.close();
      process.disconnect();
      return undefined;
    default:
      return order satisfies never;
  }
}

function answer(message: Answer): void {
  process.send?.(message);
}

function reasonOf(error: unknown): string {
  if (error instanceof AbsentError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

const first: Promise<Worker | undefined> = Promise.resolve(undefined);
const state = { last: first };
process.on('message', (order: Order) => {
  state.last = state.last.then(async (worker) => {
    try {
      return await obey(order, worker);
    } catch (error) {
      answer({ kind: error instanceof AbsentError ? 'absent' : 'failed', reason: reasonOf(error) });
      return worker;
    }
  });
});
// The runner is gone, or is done with this process: whatever still keeps it alive is of no use.
process.on('disconnect', () => process.exit());
