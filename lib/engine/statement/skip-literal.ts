import { lazy } from '../util/lazy.js';

/**
 * What belongs to a word in any script, for the brackets of a pattern. V8 looks the classes of Unicode up
 * where it reads a literal, 0.2 ms for each: a pattern with them is made when it is needed.
 */
export const IN_WORD = String.raw`\p{L}\p{N}\p{M}_`;

/** The end of the literal, quoted identifier or comment that begins at `at`; `at` itself when none does. */
export function skipLiteral(sql: string, at: number): number {
  switch (sql[at]) {
    case "'":
      return quotedEnd(sql, at, isBehindE(sql, at));
    case '"':
      return quotedEnd(sql, at, false);
    case '$':
      return dollarQuotedEnd(sql, at);
    case '-':
      return sql[at + 1] === '-' ? lineEnd(sql, at) : at;
    default:
      return sql[at + 1] === '*' ? blockCommentEnd(sql, at) : at;
  }
}

const wordEnd = lazy(() => new RegExp(`[${IN_WORD}$]$`, 'u'));

/** Whether an E is in front of `at` that does not end a word. */
function isBehindE(sql: string, at: number): boolean {
  const isE = sql[at - 1] === 'E' || sql[at - 1] === 'e';
  return isE && !wordEnd().test(sql.slice(Math.max(0, at - 3), at - 1));
}

/** `sql` with what `replace` gives in the place of each literal, quoted identifier and comment. */
export function replaceOpaque(sql: string, replace: (opaque: string) => string): string {
  const opening = /['"$/-]/g;
  let code = '';
  let from = 0;
  for (let match = opening.exec(sql); match !== null; match = opening.exec(sql)) {
    const end = skipLiteral(sql, match.index);
    if (end === match.index) continue;
    code += sql.slice(from, match.index) + replace(sql.slice(match.index, end));
    from = opening.lastIndex = end;
  }
  return code + sql.slice(from);
}

/** `sql` with a space in the place of each comment. */
export function withoutComments(sql: string): string {
  return replaceOpaque(sql, (opaque) => (/^(?:--|\/\*)/.test(opaque) ? ' ' : opaque));
}

/** A doubled quote needs no care: what follows the first half is scanned as the next literal. */
function quotedEnd(sql: string, at: number, hasBackslashes: boolean): number {
  const quote = sql[at];
  for (let index = at + 1; index < sql.length; index += 1) {
    if (sql[index] === quote) {
      if (!hasBackslashes || sql[index + 1] !== quote) return index + 1;
      index += 1;
    } else if (hasBackslashes && sql[index] === '\\') index += 1;
  }
  return sql.length;
}

function dollarQuotedEnd(sql: string, at: number): number {
  const opening = /(?<![\w$\u0080-\uffff])\$(?:[A-Z_a-z\u0080-\uffff][\w\u0080-\uffff]*)?\$/y;
  opening.lastIndex = at;
  const tag = opening.exec(sql)?.[0];
  if (tag === undefined) return at;
  const closing = sql.indexOf(tag, at + tag.length);
  return closing === -1 ? sql.length : closing + tag.length;
}

function lineEnd(sql: string, at: number): number {
  const ending = /[\r\n]/g;
  ending.lastIndex = at;
  return ending.exec(sql)?.index ?? sql.length;
}

/** PostgreSQL nests block comments. */
function blockCommentEnd(sql: string, at: number): number {
  const mark = /\/\*|\*\//g;
  mark.lastIndex = at;
  let depth = 0;
  for (let match = mark.exec(sql); match !== null; match = mark.exec(sql)) {
    depth += match[0] === '/*' ? 1 : -1;
    if (depth === 0) return mark.lastIndex;
  }
  return sql.length;
}
