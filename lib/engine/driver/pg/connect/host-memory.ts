import type { Candidate } from './session-target.js';

/** Remembers for a while which hosts were of no use, so that others are tried before them. */
export class HostMemory {
  readonly #memory: number;
  /** When each did not answer, by `performance.now()`. */
  readonly #silent = new Map<string, number>();
  /** When each refused a write; that it takes sessions says nothing against it. */
  readonly #readOnly = new Map<string, number>();

  /** @param memory Milliseconds; 0: nothing is remembered. */
  constructor(memory: number) {
    this.#memory = memory;
  }

  noteSilent(host: Candidate): void {
    this.#silent.set(keyOf(host), performance.now());
  }

  noteAnswer(host: Candidate): void {
    this.#silent.delete(keyOf(host));
  }

  noteRefusedWrite(host: Candidate): void {
    this.#readOnly.set(keyOf(host), performance.now());
  }

  /** In the same order, those that were of no use lately behind the others. */
  inOrder(hosts: readonly Candidate[]): readonly Candidate[] {
    if (this.#silent.size + this.#readOnly.size === 0) return hosts;
    const isLast = (host: Candidate): boolean =>
      this.#isIn(this.#silent, host) || this.#isIn(this.#readOnly, host);
    return [...hosts.filter((host) => !isLast(host)), ...hosts.filter(isLast)];
  }

  #isIn(times: ReadonlyMap<string, number>, host: Candidate): boolean {
    const since = times.get(keyOf(host));
    return since !== undefined && performance.now() - since < this.#memory;
  }
}

function keyOf({ host = '', port = 0 }: Candidate): string {
  return `${host}:${port}`;
}
