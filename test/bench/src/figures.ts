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

/**
 * The order of a round: it begins with another element each time, and every second one runs backwards, so that nobody
 * always comes behind the same other. ABC, ACB, CAB, CBA, BCA, BAC.
 */
export function orderOf<T>(list: readonly T[], round: number): T[] {
  const start = -Math.floor(round / 2) % Math.max(1, list.length);
  const [first, ...rest] = [...list.slice(start), ...list.slice(0, start)];
  if (first === undefined) return [];
  return [first, ...(round % 2 === 0 ? rest : rest.toReversed())];
}
