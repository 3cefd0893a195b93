import type { TypeParser } from '../../types/types.js';

/**
 * Makes the value of one field from the bytes between `start` and `end`. `line` is the whole row as Latin-1,
 * which starts at `lineStart`, or empty where the row is long: a slice of a string costs a tenth of a string
 * made of bytes.
 */
export type FieldDecoder = (
  bytes: Buffer,
  start: number,
  end: number,
  line: string,
  lineStart: number,
) => unknown;

/** Rows up to this length are decoded as one line. */
const LONGEST_LINE = 1_024;
/** V8 copies shorter slices of a string; a longer one is a view that keeps the whole line alive. */
const SHORTEST_VIEW = 13;
/** How many times its own length a slice may keep alive: keeping one id per row must not keep whole rows. */
const MOST_KEPT = 8;
/** Above it, checking byte by byte whether a text is ASCII costs more than decoding it. */
const LONGEST_ASCII = 64;

export function lineOf(bytes: Buffer, start: number, end: number): string {
  return end - start > LONGEST_LINE ? '' : bytes.toString('latin1', start, end);
}

/** For types whose text is always ASCII. */
export const decodeAscii = (
  bytes: Buffer,
  start: number,
  end: number,
  line: string,
  lineStart: number,
): string => {
  const length = end - start;
  return line === '' || (length >= SHORTEST_VIEW && line.length > length * MOST_KEPT)
    ? bytes.toString('latin1', start, end)
    : line.slice(start - lineStart, end - lineStart);
};

export const decodeText = (
  bytes: Buffer,
  start: number,
  end: number,
  line: string,
  lineStart: number,
): string => {
  if (line === '' || end - start > LONGEST_ASCII) return bytes.toString('utf8', start, end);
  for (let at = start; at < end; at += 1) {
    if ((bytes[at] as number) > 0x7f) return bytes.toString('utf8', start, end);
  }
  return decodeAscii(bytes, start, end, line, lineStart);
};

/** For a parser of text. */
export function decodeWith(parser: TypeParser): FieldDecoder {
  return (bytes, start, end, line, lineStart) => parser(decodeText(bytes, start, end, line, lineStart));
}

const ZERO = 0x30;
const NINE = 0x39;
const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const COLON = 0x3a;
const SPACE = 0x20;
const LETTER_T = 0x74;

export const decodeBoolean: FieldDecoder = (bytes, start) => bytes[start] === LETTER_T;

/** int2, int4 and oid: at most ten digits. */
export const decodeInteger: FieldDecoder = (bytes, start, end) => {
  const isNegative = bytes[start] === MINUS;
  let value = 0;
  for (let at = isNegative ? start + 1 : start; at < end; at += 1) {
    value = value * 10 + (bytes[at] as number) - ZERO;
  }
  return isNegative ? -value : value;
};

/** Both a number of so many digits and the power of ten below it are exact, and so is their quotient. */
const EXACT_DIGITS = 15;
const POWERS: readonly number[] = Array.from({ length: EXACT_DIGITS + 1 }, (_, exponent) => 10 ** exponent);

export const decodeFloat: FieldDecoder = (bytes, start, end, line, lineStart) => {
  const isNegative = bytes[start] === MINUS;
  const first = isNegative ? start + 1 : start;
  let value = 0;
  let point = end;
  for (let at = first; at < end; at += 1) {
    const byte = bytes[at] as number;
    if (byte >= ZERO && byte <= NINE && at - first < EXACT_DIGITS) value = value * 10 + byte - ZERO;
    else if (byte === POINT && point === end) point = at;
    // An exponent, NaN, Infinity, or more digits than are exact.
    else return Number.parseFloat(decodeAscii(bytes, start, end, line, lineStart));
  }
  const decimals = point === end ? 0 : end - point - 1;
  const exact = decimals === 0 ? value : value / (POWERS[decimals] as number);
  return isNegative ? -exact : exact;
};

function twoDigits(bytes: Buffer, at: number): number {
  const tens = (bytes[at] as number) - ZERO;
  const ones = (bytes[at + 1] as number) - ZERO;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN;
}

/** Where the time of day ends: behind `2024-01-02 03:04:05`. */
const SECONDS_END = 19;
const MINUTE = 60_000;
const DAY = 86_400_000;

/** Milliseconds of `.678901` at `at`, as many digits as there are; what is below a millisecond is dropped. */
function milliseconds(bytes: Buffer, at: number, end: number): number {
  let value = 0;
  for (let place = 1; place <= 3; place += 1) {
    value = value * 10 + (at + place < end ? (bytes[at + place] as number) - ZERO : 0);
  }
  return value;
}

function fractionEnd(bytes: Buffer, start: number, end: number): number {
  let at = start;
  if (bytes[at] !== POINT) return at;
  at += 1;
  while (at < end && (bytes[at] as number) >= ZERO && (bytes[at] as number) <= NINE) at += 1;
  return at;
}

/**
 * Days from 1970-01-01 in the Gregorian calendar. The year starts in March, so that the leap day is its last.
 */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const shifted = month > 2 ? year : year - 1;
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const leapDays = Math.floor(shifted / 4) - Math.floor(shifted / 100) + Math.floor(shifted / 400);
  return 365 * shifted + leapDays + dayOfYear - 719_468;
}

/** `+00`, `-03:30`; in milliseconds, NaN for anything else. */
function zoneOffset(bytes: Buffer, at: number, end: number): number {
  const sign = bytes[at] === PLUS ? 1 : bytes[at] === MINUS ? -1 : Number.NaN;
  if (end - at === 3) return sign * twoDigits(bytes, at + 1) * 60 * MINUTE;
  if (end - at !== 6 || bytes[at + 3] !== COLON) return Number.NaN;
  return sign * (twoDigits(bytes, at + 1) * 60 + twoDigits(bytes, at + 4)) * MINUTE;
}

/**
 * `2024-01-02 03:04:05`; infinity, BC, a year of five digits and another DateStyle are left to the parser.
 */
function hasPlainDate(bytes: Buffer, start: number, end: number): boolean {
  return (
    end - start >= SECONDS_END &&
    bytes[start + 4] === MINUS &&
    bytes[start + 7] === MINUS &&
    bytes[start + 10] === SPACE &&
    bytes[start + 13] === COLON &&
    bytes[start + 16] === COLON
  );
}

/** How long a plain date is: `2024-01-02`. */
const DATE_LENGTH = 10;

/** date, as its text. `parser` reads what is not in the usual form, and refuses another DateStyle. */
export function decodeDate(parser: TypeParser): FieldDecoder {
  const decodeRest = decodeWith(parser);
  return (bytes, start, end, line, lineStart) => {
    const isUsual =
      end - start === DATE_LENGTH &&
      bytes[start + 4] === MINUS &&
      bytes[start + 7] === MINUS &&
      (bytes[start + 9] as number) <= NINE;
    return isUsual
      ? decodeAscii(bytes, start, end, line, lineStart)
      : decodeRest(bytes, start, end, line, lineStart);
  };
}

/** timestamptz. `parser` reads what is not in the usual form. */
export function decodeInstant(parser: TypeParser): FieldDecoder {
  const decodeRest = decodeWith(parser);
  return (bytes, start, end, line, lineStart) => {
    if (!hasPlainDate(bytes, start, end)) return decodeRest(bytes, start, end, line, lineStart);
    const year = twoDigits(bytes, start) * 100 + twoDigits(bytes, start + 2);
    const days = daysSinceEpoch(year, twoDigits(bytes, start + 5), twoDigits(bytes, start + 8));
    const minutes = twoDigits(bytes, start + 11) * 60 + twoDigits(bytes, start + 14);
    const zone = fractionEnd(bytes, start + SECONDS_END, end);
    const time =
      days * DAY +
      minutes * MINUTE +
      twoDigits(bytes, start + 17) * 1_000 +
      milliseconds(bytes, start + SECONDS_END, zone) -
      zoneOffset(bytes, zone, end);
    return Number.isNaN(time) ? decodeRest(bytes, start, end, line, lineStart) : new Date(time);
  };
}

/** timestamp: by the clock of this process. `parser` reads what is not in the usual form. */
export function decodeLocalTime(parser: TypeParser): FieldDecoder {
  const decodeRest = decodeWith(parser);
  return (bytes, start, end, line, lineStart) => {
    const year = twoDigits(bytes, start) * 100 + twoDigits(bytes, start + 2);
    // For Date, years below 100 are years of the last century.
    const isUsual = hasPlainDate(bytes, start, end) && year >= 100;
    if (!isUsual || fractionEnd(bytes, start + SECONDS_END, end) !== end)
      return decodeRest(bytes, start, end, line, lineStart);
    const date = new Date(
      year,
      twoDigits(bytes, start + 5) - 1,
      twoDigits(bytes, start + 8),
      twoDigits(bytes, start + 11),
      twoDigits(bytes, start + 14),
      twoDigits(bytes, start + 17),
      milliseconds(bytes, start + SECONDS_END, end),
    );
    return Number.isNaN(date.getTime()) ? decodeRest(bytes, start, end, line, lineStart) : date;
  };
}
