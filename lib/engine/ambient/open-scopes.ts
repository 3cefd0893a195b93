import type { Scope } from './scope.js';

/** The scopes of one engine that are open now, for a shutdown that waits for them. */
export class OpenScopes {
  readonly #scopes = new Set<Scope>();
  #onEmpty: (() => void) | undefined;

  get size(): number {
    return this.#scopes.size;
  }

  add(scope: Scope): void {
    this.#scopes.add(scope);
  }

  remove(scope: Scope): void {
    this.#scopes.delete(scope);
    if (this.#scopes.size === 0) this.#onEmpty?.();
  }

  /** Resolves when no scope is open, or after `timeout` ms; with the labels of those that still are. */
  async empty(timeout: number): Promise<string[]> {
    if (this.#scopes.size > 0) {
      const empty = new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
      });
      const timer = setTimeout(() => this.#onEmpty?.(), timeout);
      await empty;
      clearTimeout(timer);
    }
    return [...this.#scopes].map((scope) => scope.origin);
  }
}
