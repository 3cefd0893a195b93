import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { BenchmarkError } from '../benchmark-error.js';

export interface LoadOrder {
  readonly port: number;
  /** Keep-alive connections, each with one request at a time. */
  readonly clients: number;
  readonly requests: number;
}

export type LoadAnswer = { readonly kind: 'done' } | { readonly kind: 'failed'; readonly reason: string };

/** Asks a server from a process of its own, so that the server's process does nothing but serve. */
export class Load {
  readonly #process: ChildProcess;

  constructor() {
    this.#process = fork(fileURLToPath(new URL('load-process.js', import.meta.url)), { execArgv: [] });
  }

  /** @throws BenchmarkError when an answer is not the right one. */
  async run(order: LoadOrder): Promise<void> {
    this.#process.send(order);
    const [answer] = (await once(this.#process, 'message')) as [LoadAnswer];
    if (answer.kind === 'failed') throw new BenchmarkError(answer.reason);
  }

  async close(): Promise<void> {
    const exited = once(this.#process, 'exit');
    this.#process.disconnect();
    await exited;
  }
}
