import { WhenEmpty } from '../util/when-empty.js';
import type { Scope } from './scope.js';

/** The scopes of one engine that are open now, for a shutdown that waits for them. */
export class OpenScopes {
  readonly #scopes = new Set<Scope>();
  readonly #empty = new WhenEmpty();

  get size(): number {
    return this.#scopes.size;
  }

  add(scope: Scope): void {
    this.#scopes.add(scope);
  }

  remove(scope: Scope): void {
    this.#scopes.delete(scope);
    if (this.#scopes.size === 0) this.#empty.notify();
  }

  /** Resolves when no scope is open, or after `timeout` ms; with the labels of those that still are. */
  async empty(timeout: number): Promise<string[]> {
    await this.#empty.wait(this.#scopes.size === 0, timeout);
    return [...this.#scopes].map((scope) => scope.origin);
  }
}
