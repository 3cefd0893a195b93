import type { Candidate } from './session-target.js';

/** Remembers for a while which hosts did not answer, so that others are tried before them. */
export class SilentHosts {
  readonly #memory: number;
  /** When each was silent, by `performance.now()`. */
  readonly #since = new Map<string, number>();

  /** @param memory Milliseconds; 0: nothing is remembered. */
  constructor(memory: number) {
    this.#memory = memory;
  }

  noteSilent(host: Candidate): void {
    this.#since.set(keyOf(host), performance.now());
  }

  noteAnswer(host: Candidate): void {
    this.#since.delete(keyOf(host));
  }

  /** In the same order, those that were silent lately behind the others. */
  last(hosts: readonly Candidate[]): readonly Candidate[] {
    if (this.#since.size === 0) return hosts;
    return [
      ...hosts.filter((host) => !this.#isSilent(host)),
      ...hosts.filter((host) => this.#isSilent(host)),
    ];
  }

  #isSilent(host: Candidate): boolean {
    const since = this.#since.get(keyOf(host));
    return since !== undefined && performance.now() - since < this.#memory;
  }
}

function keyOf({ host = '', port = 0 }: Candidate): string {
  return `${host}:${port}`;
}
