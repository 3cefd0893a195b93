import { skipLiteral } from '../engine/statement/skip-literal.js';

/** What a text does and to what, for names of spans, and the text without the values that stand in it. */
export interface QuerySummary {
  /** `SELECT`, `INSERT`: the first word. */
  readonly operation: string;
  /** Few different ones: operations and their tables, such as `SELECT orders customers`. */
  readonly summary: string;
  /** The text with `?` in place of literals; `$1` stays. */
  readonly text: string;
}

/** The semantic conventions allow no longer one. */
const LONGEST_SUMMARY = 255;

/** `opaque`: where a literal or a comment begins. Quoted identifiers are words, and `$1` is none of these. */
const TOKEN =
  /(?<space>\s+)|(?<opaque>\b[eE]'|'|\$(?!\d)|--|\/\*)|(?<number>\b\d[\w.]*)|(?<word>(?:"(?:""|[^"])*(?:"|$)|[\p{L}_][\p{L}\p{N}_$]*)(?:\.(?:"(?:""|[^"])*(?:"|$)|[\p{L}_][\p{L}\p{N}_$]*))*)|\$\d+|[\s\S]/gu;

/** Words in front of the name of a table. */
const BEFORE_TABLE = /^(?:FROM|JOIN|INTO|UPDATE|TABLE|ONLY)$/i;
const OPERATIONS = /^(?:SELECT|INSERT|UPDATE|DELETE|MERGE)$/i;
const BEFORE_NO_OPERATION = /^(?:FOR|KEY|DO)$/i;
/** These are not tables. */
const NOT_TABLES = /^(?:SELECT|STDIN|PROGRAM|ONLY|LATERAL|UNNEST|SET|IF|NOT|EXISTS)$/i;

/** Reads a text once; the caller keeps what it gives. */
export function summarize(sql: string): QuerySummary {
  const words: string[] = [];
  let text = '';
  let before = '';
  const tokens = new RegExp(TOKEN);
  for (let match = tokens.exec(sql); match !== null; match = tokens.exec(sql)) {
    const { opaque, number, space, word } = match.groups ?? {};
    const end = opaque === undefined ? undefined : opaqueEnd(sql, match.index, opaque);
    tokens.lastIndex = end ?? tokens.lastIndex;
    const isComment = end !== undefined && /^[-/]/.test(match[0]);
    const isValue = number !== undefined || (end !== undefined && !isComment);
    text += isValue ? '?' : sql.slice(match.index, tokens.lastIndex);
    if (word !== undefined) {
      // FOR UPDATE, FOR NO KEY UPDATE and DO UPDATE are parts of another operation.
      if (BEFORE_NO_OPERATION.test(before) && OPERATIONS.test(word)) {
        before = '';
        continue;
      }
      if (words.length === 0 || OPERATIONS.test(word)) words.push(word.toUpperCase());
      else if ((BEFORE_TABLE.test(before) || isCopied(words, before)) && !NOT_TABLES.test(word))
        words.push(word);
      before = word;
    } else if (space === undefined && !isComment) before = '';
  }
  const [operation = ''] = words;
  return { operation, summary: words.join(' ').slice(0, LONGEST_SUMMARY), text };
}

/** Undefined: a dollar sign that opens nothing. */
function opaqueEnd(sql: string, at: number, opening: string): number | undefined {
  const isString = opening.endsWith("'");
  const start = isString ? at + opening.length - 1 : at;
  let end = skipLiteral(sql, start);
  // A doubled quote goes on in what looks like the next literal.
  while (isString && sql[end] === "'") end = skipLiteral(sql, end);
  return end === start ? undefined : end;
}

/** `COPY item FROM STDIN`: the table is the word behind the first. */
function isCopied([operation, ...tables]: readonly string[], before: string): boolean {
  return operation === 'COPY' && tables.length === 0 && before.toUpperCase() === 'COPY';
}
