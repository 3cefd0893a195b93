/** `below` with what `above` says in its place; undefined counts as not said. */
export function overlay<T extends object>(below: T, above: T | undefined): T {
  if (above === undefined) return below;
  const merged = { ...below };
  for (const name of Object.keys(above) as (keyof T)[]) {
    if (above[name] !== undefined) merged[name] = above[name];
  }
  return merged;
}
