/** When the server may send a message of a type: `login` lasts until the first ReadyForQuery. */
export type Phase = 'login' | 'session';

/** What an authentication request begins with. */
const TYPE_OF_REQUEST = 0x52;

/** A type is one byte. */
const TYPES = 256;

/** A byte for the type, and four for the length, which counts itself. */
export const HEADER = 5;

/** PostgreSQL keeps a message in one buffer, which is never larger. */
const LONGEST_MESSAGE = 2 ** 30;

/** libpq's limit: all that is read before the server has proved who it is. */
const LONGEST_REQUEST = 2_000;

/** The kinds of authentication that pg knows, and how long the body of each is; -1: any length. */
const AUTHENTICATION: Readonly<Record<number, number>> = { 0: 4, 3: 4, 5: 8, 10: -1, 11: -1, 12: -1 };
const UNSUPPORTED: Readonly<Record<number, string>> = {
  2: 'Kerberos V5',
  6: 'SCM',
  7: 'GSSAPI',
  8: 'GSSAPI',
  9: 'SSPI',
};

/** True where the body, from `at` to `end`, is what its type says that it is. */
type FormCheck = (bytes: Buffer, at: number, end: number) => boolean;

const isEmpty: FormCheck = (_, at, end) => at === end;
const isTagged: FormCheck = (bytes, at, end) => endOfText(bytes, at, end) === end;
const isTwoTexts: FormCheck = (bytes, at, end) => {
  const second = endOfText(bytes, at, end);
  return second !== undefined && endOfText(bytes, second, end) === end;
};
const isCopyResponse: FormCheck = (bytes, at, end) =>
  at + 3 <= end && at + 3 + 2 * bytes.readUInt16BE(at + 1) === end;

const SESSION: Readonly<Record<string, FormCheck>> = {
  '1': isEmpty,
  '2': isEmpty,
  '3': isEmpty,
  A: (bytes, at, end) => at + 4 <= end && isTwoTexts(bytes, at + 4, end),
  C: isTagged,
  c: isEmpty,
  D: isRow,
  d: () => true,
  E: isReport,
  G: isCopyResponse,
  H: isCopyResponse,
  I: isEmpty,
  N: isReport,
  n: isEmpty,
  S: isTwoTexts,
  s: isEmpty,
  T: isRowDescription,
  t: (bytes, at, end) => at + 2 <= end && at + 2 + 4 * bytes.readUInt16BE(at) === end,
  W: isCopyResponse,
  Z: (bytes, at, end) => end - at === 1 && 'ITE'.includes(String.fromCharCode(bytes[at] ?? 0)),
};

const { E, N, S, Z } = SESSION;
const LOGIN: Readonly<Record<string, FormCheck | undefined>> = {
  E,
  K: (_, at, end) => end - at >= 8,
  N,
  R: isAuthentication,
  S,
  Z,
};

const CHECKS: Readonly<Record<Phase, readonly (FormCheck | undefined)[]>> = {
  login: byType(LOGIN),
  session: byType(SESSION),
};

/**
 * The longest that a message of each type may say it is, with the length itself but without its type; 0: it
 * may not come.
 */
export const LONGEST: Readonly<Record<Phase, Uint32Array>> = {
  login: longestOf(LOGIN),
  session: longestOf(SESSION),
};

/**
 * Whether the message between `at` and `end` is whole. pg's parser believes lengths and counts: it throws, or
 * never returns, where one of them is wrong.
 */
export function isWellFormed(phase: Phase, bytes: Buffer, at: number, end: number): boolean {
  return CHECKS[phase][bytes[at] ?? 0]?.(bytes, at + HEADER, end) ?? false;
}

/** The name of what the server asks for and pg can't do; undefined for all else. */
export function unsupportedAuthentication(bytes: Buffer, at: number, end: number): string | undefined {
  if (bytes[at] !== TYPE_OF_REQUEST || at + HEADER + 4 > end) return undefined;
  return UNSUPPORTED[bytes.readInt32BE(at + HEADER)];
}

function byType(checks: Readonly<Record<string, FormCheck | undefined>>): readonly (FormCheck | undefined)[] {
  const table = Array.from<FormCheck | undefined>({ length: TYPES });
  for (const letter of Object.keys(checks)) table[letter.charCodeAt(0)] = checks[letter];
  return table;
}

function longestOf(checks: Readonly<Record<string, FormCheck | undefined>>): Uint32Array {
  const table = new Uint32Array(TYPES);
  for (const letter of Object.keys(checks)) table[letter.charCodeAt(0)] = LONGEST_MESSAGE;
  if (table[TYPE_OF_REQUEST] !== 0) table[TYPE_OF_REQUEST] = LONGEST_REQUEST;
  return table;
}

/** Where the text that begins at `at` has ended, its zero included; undefined: not before `end`. */
function endOfText(bytes: Buffer, at: number, end: number): number | undefined {
  const zero = at < end ? bytes.indexOf(0, at) : -1;
  return zero === -1 || zero >= end ? undefined : zero + 1;
}

/** ErrorResponse and NoticeResponse: letters, each with a text, and a zero. */
function isReport(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end;) {
    if (bytes[at] === 0) return at + 1 === end;
    const next = endOfText(bytes, at + 1, end);
    if (next === undefined) return false;
    at = next;
  }
  return false;
}

/** Of each column a name and 18 bytes of facts. */
function isRowDescription(bytes: Buffer, start: number, end: number): boolean {
  if (start + 2 > end) return false;
  let at = start + 2;
  for (let left = bytes.readUInt16BE(start); left > 0; left -= 1) {
    const name = endOfText(bytes, at, end);
    if (name === undefined) return false;
    at = name + 18;
  }
  return at === end;
}

/** Of each field its length and so many bytes; -1 is NULL. */
function isRow(bytes: Buffer, start: number, end: number): boolean {
  if (start + 2 > end) return false;
  let at = start + 2;
  for (let left = bytes.readUInt16BE(start); left > 0; left -= 1) {
    if (at + 4 > end) return false;
    const size = bytes.readInt32BE(at);
    if (size < -1) return false;
    at += 4 + Math.max(0, size);
  }
  return at === end;
}

function isAuthentication(bytes: Buffer, at: number, end: number): boolean {
  const size = at + 4 <= end ? AUTHENTICATION[bytes.readInt32BE(at)] : undefined;
  if (size === undefined) return false;
  if (bytes.readInt32BE(at) === 10) return isMechanismList(bytes, at + 4, end);
  return size === -1 || end - at === size;
}

/** Texts, and an empty one at the end. */
function isMechanismList(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end;) {
    const next = endOfText(bytes, at, end);
    if (next === undefined) return false;
    if (next === at + 1) return next === end;
    at = next;
  }
  return false;
}
