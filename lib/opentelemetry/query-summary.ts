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

/** What is not closed goes to the end of the text: looked for from each place, it would cost a square. */
const TOKEN =
  /(?<space>\s+|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|(?<string>\b[eE]'(?:\\[\s\S]|''|[^'\\])*(?:'|$)|'(?:''|[^'])*(?:'|$)|\$(?<tag>[A-Za-z_]*)\$[\s\S]*?(?:\$\k<tag>\$|$))|(?<bind>\$\d+)|(?<number>\b\d[\w.]*)|(?<word>(?:"(?:""|[^"])*(?:"|$)|[\p{L}_][\p{L}\p{N}_$]*)(?:\.(?:"(?:""|[^"])*(?:"|$)|[\p{L}_][\p{L}\p{N}_$]*))*)|(?<other>[\s\S])/gu;

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
  for (const { 0: token, groups = {} } of sql.matchAll(TOKEN)) {
    text += groups['string'] !== undefined || groups['number'] !== undefined ? '?' : token;
    const { word } = groups;
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
    } else if (groups['space'] === undefined) before = '';
  }
  const [operation = ''] = words;
  return { operation, summary: words.join(' ').slice(0, LONGEST_SUMMARY), text };
}

/** `COPY item FROM STDIN`: the table is the word behind the first. */
function isCopied([operation, ...tables]: readonly string[], before: string): boolean {
  return operation === 'COPY' && tables.length === 0 && before.toUpperCase() === 'COPY';
}
