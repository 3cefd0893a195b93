import { skipLiteral } from './skip-literal.js';

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

/**
 * A word, what ends or groups statements, and the characters that literals, quoted identifiers and comments
 * begin with.
 */
const TOKEN = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|[;()'"$/-]/g;
const OPAQUE = /^['"$/-]$/;
const COMMENT = /^[/-]$/;

const ROUTINE = /^CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE)\b/;

/**
 * The statements of an SQL text. Semicolons in literals, quoted identifiers, comments, brackets (CREATE RULE)
 * and the bodies of SQL routines (BEGIN ATOMIC … END) end none.
 */
export function splitScript(sql: string): readonly ScriptStatement[] {
  return new ScriptSplitter(sql).split();
}

class ScriptSplitter {
  readonly #sql: string;
  readonly #statements: ScriptStatement[] = [];
  #words: string[] = [];
  /** True for CREATE FUNCTION and CREATE PROCEDURE, whose body may hold semicolons. */
  #isRoutine = false;
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
    if (OPAQUE.test(token)) return this.#opaque(token, at);
    const end = at + token.length;
    if (token === ';') {
      if (this.#brackets === 0 && this.#blocks === 0) this.#finish(at);
      return end;
    }
    this.#start ??= at;
    if (token === '(') this.#brackets += 1;
    else if (token === ')') this.#brackets = Math.max(0, this.#brackets - 1);
    else this.#word(token.toUpperCase());
    return end;
  }

  /** A comment before a statement is not a part of it. */
  #opaque(token: string, at: number): number {
    const end = skipLiteral(this.#sql, at);
    if (end === at || !COMMENT.test(token)) this.#start ??= at;
    return Math.max(end, at + 1);
  }

  #word(word: string): void {
    if (this.#brackets > 0) return;
    if (this.#words.length < WORDS_KEPT) {
      this.#words.push(word);
      this.#isRoutine ||= ROUTINE.test(this.#words.join(' '));
    }
    if (!this.#isRoutine) return;
    if (word === 'BEGIN' || (word === 'CASE' && this.#blocks > 0)) this.#blocks += 1;
    else if (word === 'END' && this.#blocks > 0) this.#blocks -= 1;
  }

  #finish(end: number): void {
    if (this.#start !== undefined) this.#statements.push({ start: this.#start, end, words: this.#words });
    this.#start = undefined;
    this.#words = [];
    this.#isRoutine = false;
    this.#brackets = 0;
    this.#blocks = 0;
  }
}
