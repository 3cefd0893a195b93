import { WhenEmpty } from '../util/when-empty.js';

/** Work in a scope, or work that may still open one. */
interface OpenWork {
  readonly origin: string;
}

/** What is open in one engine now, for a shutdown that waits for it. */
export class OpenScopes {
  readonly #scopes = new Set<OpenWork>();
  readonly #empty = new WhenEmpty();

  get size(): number {
    return this.#scopes.size;
  }

  /** Those that are open now. */
  get all(): readonly OpenWork[] {
    return [...this.#scopes];
  }

  add(scope: OpenWork): void {
    this.#scopes.add(scope);
  }

  remove(scope: OpenWork): void {
    this.#scopes.delete(scope);
    if (this.#scopes.size === 0) this.#empty.notify();
  }

  /** Resolves when no scope is open, or after `timeout` ms; with the labels of those that still are. */
  async empty(timeout: number): Promise<string[]> {
    await this.#empty.wait(this.#scopes.size === 0, timeout);
    return [...this.#scopes].map((scope) => scope.origin);
  }
}
