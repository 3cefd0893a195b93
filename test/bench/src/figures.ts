/** The middle of the values; of two middles their mean. NaN of no values. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value below which the share `part` of the values lies, between two of them where it must be. NaN of no values. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  const place = (sorted.length - 1) * part;
  const below = sorted[Math.floor(place)] ?? Number.NaN;
  const above = sorted[Math.ceil(place)] ?? Number.NaN;
  return below + (above - below) * (place - Math.floor(place));
}

/** The list that begins with the element number `count` and ends with those before it. */
export function rotate<T>(list: readonly T[], count: number): T[] {
  const start = count % Math.max(1, list.length);
  return [...list.slice(start), ...list.slice(0, start)];
}
