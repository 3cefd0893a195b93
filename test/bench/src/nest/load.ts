import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { BenchmarkError } from '../benchmark-error.js';

export interface LoadOrder {
  readonly port: number;
  /** Keep-alive connections, each with one request at a time. */
  readonly clients: number;
  readonly requests: number;
  /** Requests a second; undefined: as many as there are answers. */
  readonly rate?: number | undefined;
}

/** `p99`: nanoseconds from when a request was due, where a rate was given. */
export type LoadAnswer =
  { readonly kind: 'done'; readonly p99: number } | { readonly kind: 'failed'; readonly reason: string };

/** Asks a server from a process of its own, so that the server's process does nothing but serve. */
export class Load {
  readonly #process: ChildProcess;

  constructor() {
    this.#process = fork(fileURLToPath(new URL('load-process.js', import.meta.url)), { execArgv: [] });
  }

  /**
   * Gives the p99 where a rate was given.
   *
   * @throws BenchmarkError when an answer is not the right one.
   */
  async run(order: LoadOrder): Promise<number> {
    this.#process.send(order);
    const [answer] = (await once(this.#process, 'message')) as [LoadAnswer];
    if (answer.kind === 'failed') throw new BenchmarkError(answer.reason);
    return answer.p99;
  }

  async close(): Promise<void> {
    const exited = once(this.#process, 'exit');
    this.#process.disconnect();
    await exited;
  }
}
