/**
 * A copy of `defaults` with what `options` says in its place; undefined counts as not said. `settings` are
 * merged by name: one that is not named anew stays.
 */
export function mergeOptions<T extends object>(defaults: T, options: T | undefined): T {
  if (options === undefined) return defaults;
  const merged = { ...defaults };
  for (const name of Object.keys(options) as (keyof T)[]) {
    if (options[name] !== undefined) merged[name] = options[name];
  }
  const settings = (options as WithSettings).settings;
  if (settings !== undefined)
    (merged as WithSettings).settings = { ...(defaults as WithSettings).settings, ...settings };
  return merged;
}

interface WithSettings {
  settings?: Readonly<Record<string, unknown>>;
}
