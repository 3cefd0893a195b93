/**
 * Errors that a listener of `handleError` wants to be thrown instead of others, which do their work inside
 * first.
 */
export class ReplacedErrors {
  readonly #replacements = new WeakMap<object, unknown>();

  set(error: unknown, replacement: unknown): void {
    if (typeof error !== 'object' || error === null) return;
    if (replacement instanceof Error && replacement.cause === undefined && replacement !== error) {
      replacement.cause = error;
    }
    this.#replacements.set(error, replacement);
  }

  get(error: unknown): unknown {
    return typeof error === 'object' && error !== null ? this.#replacements.get(error) : undefined;
  }
}
