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

  /** In the same order, but what was of no use lately stands behind the others, the last of it at the end. */
  inOrder(hosts: readonly Candidate[]): readonly Candidate[] {
    if (this.#silent.size + this.#readOnly.size === 0) return hosts;
    const forgotten = performance.now() - this.#memory;
    const noUseAt = (host: Candidate): number => {
      const key = keyOf(host);
      const at = Math.max(this.#silent.get(key) ?? 0, this.#readOnly.get(key) ?? 0);
      return at > forgotten ? at : 0;
    };
    return hosts.toSorted((one, other) => noUseAt(one) - noUseAt(other));
  }
}

function keyOf({ host = '', port = 0 }: Candidate): string {
  return `${host}:${port}`;
}
