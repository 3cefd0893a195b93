/** A copy of `defaults` with what `options` says in its place; undefined counts as not said. */
export function mergeOptions<T extends object>(defaults: T, options: T | undefined): T {
  if (options === undefined) return defaults;
  const merged = { ...defaults };
  for (const name of Object.keys(options) as (keyof T)[]) {
    if (options[name] !== undefined) merged[name] = options[name];
  }
  return merged;
}
