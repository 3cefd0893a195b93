import type { AsyncEngine } from '../../engine/index.js';

/** By its shape: an engine of a second copy of this package is one, too. */
export function isEngine(value: unknown): value is AsyncEngine {
  return typeof (value as AsyncEngine | null | undefined)?.replacePool === 'function';
}
