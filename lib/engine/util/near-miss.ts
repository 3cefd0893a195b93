import { lazy } from './lazy.js';

/** Shorter names are too near to each other for one to be a slip of another. */
const SHORTEST = 4;

/**
 * The known name that `name` is probably meant to be: another spelling (`isolation_level`, `readonly`), a
 * letter or two beside it (`timout`), at least half of it (`isolation`), or with a unit behind it
 * (`timeoutMs`).
 */
export function nearMiss(name: string, known: Iterable<string>): string | undefined {
  const plain = plainForm(name);
  let half: string | undefined;
  for (const candidate of known) {
    const wanted = plainForm(candidate);
    if (plain === wanted || isSlip(plain, wanted) || isWithUnit(plain, wanted)) return candidate;
    if (half === undefined && isHalf(plain, wanted)) half = candidate;
  }
  return half;
}

// V8 looks the classes of Unicode up where it reads a literal.
const noLetters = lazy(() => new RegExp(String.raw`[^\p{L}\p{N}]`, 'gu'));

function plainForm(name: string): string {
  return name.replaceAll(noLetters(), '').toLowerCase();
}

function isHalf(plain: string, wanted: string): boolean {
  if (plain.length < SHORTEST || plain.length * 2 < wanted.length) return false;
  return wanted.startsWith(plain) || wanted.endsWith(plain);
}

function isWithUnit(plain: string, wanted: string): boolean {
  return (
    plain.startsWith(wanted) &&
    /^(?:ms|millis|milliseconds|s|sec|secs|seconds)$/.test(plain.slice(wanted.length))
  );
}

/** One wrong, missing, additional or transposed letter; two in a long name. */
function isSlip(plain: string, wanted: string): boolean {
  if (plain.length < SHORTEST) return false;
  const allowed = wanted.length < 8 ? 1 : 2;
  return Math.abs(plain.length - wanted.length) <= allowed && distance(plain, wanted) <= allowed;
}

/** How many letters must be changed, added, left out or transposed to make `to` of `from`. */
function distance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const isSame = from[row - 1] === to[column - 1];
      let least = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (isSame ? 0 : 1),
      );
      if (from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]) {
        least = Math.min(least, (beforeLast[column - 2] ?? Infinity) + 1);
      }
      current.push(least);
    }
    beforeLast = last;
    last = current;
  }
  return last[to.length] ?? 0;
}
