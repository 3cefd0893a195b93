/** One statement of a script, where it stands in the text. */
export interface ScriptStatement {
  readonly start: number;
  /** Without its semicolon. */
  readonly end: number;
  /** Its first words in capitals, without what is quoted or in brackets. */
  readonly words: readonly string[];
}

/** As many as tell what a statement is. */
const WORDS_KEPT = 6;

/** An unterminated literal reaches to the end, as the server reads it before it complains. */
const TOKEN =
  /--[^\r\n]*|\/\*|[eE]'(?:[^'\\]+|\\[\s\S]?|'')*(?:'|$)|'[^']*(?:'|$)|"[^"]*(?:"|$)|\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|[;()]/g;

const ROUTINE = /^CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE)\b/;

/**
 * The statements of an SQL text. Semicolons in literals, quoted identifiers, comments, brackets (CREATE RULE) and the
 * bodies of SQL routines (BEGIN ATOMIC … END) end none.
 */
export function splitScript(sql: string): readonly ScriptStatement[] {
  return new ScriptSplitter(sql).split();
}

class ScriptSplitter {
  readonly #sql: string;
  readonly #statements: ScriptStatement[] = [];
  #words: string[] = [];
  /** Where the statement begins; undefined before its first token. */
  #start: number | undefined;
  #brackets = 0;
  /** Open BEGIN ATOMIC and CASE of a routine's body. */
  #blocks = 0;

  constructor(sql: string) {
    this.#sql = sql;
  }

  split(): readonly ScriptStatement[] {
    const token = new RegExp(TOKEN);
    for (let match = token.exec(this.#sql); match !== null; match = token.exec(this.#sql)) {
      token.lastIndex = this.#step(match[0], match.index);
    }
    this.#finish(this.#sql.length);
    return this.#statements;
  }

  /** Deals with the token at `at` and says where to go on. */
  #step(token: string, at: number): number {
    const end = at + token.length;
    if (token.startsWith('--')) return end;
    if (token === '/*') return blockCommentEnd(this.#sql, at);
    if (token === ';') {
      if (this.#brackets === 0 && this.#blocks === 0) this.#finish(at);
      return end;
    }
    this.#start ??= at;
    if (token === '(') this.#brackets += 1;
    else if (token === ')') this.#brackets = Math.max(0, this.#brackets - 1);
    else if (token.startsWith('$')) return dollarQuotedEnd(this.#sql, token, end);
    else if (!/['"]/.test(token)) this.#word(token.toUpperCase());
    return end;
  }

  #word(word: string): void {
    if (this.#brackets > 0) return;
    if (this.#words.length < WORDS_KEPT) this.#words.push(word);
    if (!/^(?:BEGIN|CASE|END)$/.test(word) || !ROUTINE.test(this.#words.join(' '))) return;
    if (word === 'BEGIN' || (word === 'CASE' && this.#blocks > 0)) this.#blocks += 1;
    else if (word === 'END' && this.#blocks > 0) this.#blocks -= 1;
  }

  #finish(end: number): void {
    if (this.#start !== undefined) this.#statements.push({ start: this.#start, end, words: this.#words });
    this.#start = undefined;
    this.#words = [];
    this.#brackets = 0;
    this.#blocks = 0;
  }
}

function dollarQuotedEnd(sql: string, tag: string, from: number): number {
  const closing = sql.indexOf(tag, from);
  return closing === -1 ? sql.length : closing + tag.length;
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
