import type { CompiledStatement } from './row.js';
import { IN_WORD, skipLiteral } from './skip-literal.js';
import { transactionChange, type TransactionCommand } from './transaction-command.js';
import { lazy } from '../util/lazy.js';

/**
 * The words `IN` or `NOT IN` directly before a bind, with the bracket that the author may have put around it.
 */
export interface Membership {
  readonly isNegated: boolean;
  /** How many characters of the piece before the bind belong to it. */
  readonly before: number;
  /** How many characters of the piece behind the bind belong to it: the closing bracket. */
  readonly after: number;
}

/** One place where a value goes. */
export interface Slot {
  /** The position in `names`. */
  readonly bind: number;
  readonly membership: Membership | undefined;
}

/** What scanning a text once gives; it depends on nothing but the text. */
export interface TextTemplate {
  /** The SQL with one placeholder for each name: `$1` is `names[0]`. */
  readonly text: string;
  /** The names of the binds, in the order in which they first appear. */
  readonly names: readonly string[];
  /** The SQL around the slots: one more than there are slots. */
  readonly pieces: readonly string[];
  readonly slots: readonly Slot[];
  /** What the statement would do to the transaction around it; undefined: nothing. */
  readonly control: TransactionCommand | undefined;
  /** When it was scanned, by the clock of `performance.now()`. */
  readonly createdAt: number;
}

/** A template of SQL in which nothing has a name. */
export function namelessTemplate({ text, control }: CompiledStatement): TextTemplate {
  return { text, names: [], pieces: [text], slots: [], control, createdAt: performance.now() };
}

/**
 * Finds the `:name` binds of `sql`.
 *
 * String literals (also `E'…'` and `$tag$…$tag$`), quoted identifiers and comments hold no binds; neither do
 * casts, array slices such as `a[1:2]`, and `:=`. `:name::type` is a bind with a cast. `\:` is a plain colon,
 * wherever it stands.
 */
export function scanText(sql: string): TextTemplate {
  return new TextScanner(sql).scan();
}

class TextScanner {
  readonly #sql: string;
  readonly #pieces: string[] = [];
  readonly #slots: Slot[] = [];
  readonly #numbers = new Map<string, number>();
  #piece = '';
  /** Where the part of the piece begins that was not copied yet. */
  #copied = 0;
  /** Where the code since the last literal or comment begins. */
  #codeStart = 0;

  constructor(sql: string) {
    this.#sql = sql;
  }

  scan(): TextTemplate {
    const special = /[:\\'"$/-]/g;
    for (let match = special.exec(this.#sql); match !== null; match = special.exec(this.#sql)) {
      special.lastIndex = this.#step(match.index);
    }
    this.#copyUntil(this.#sql.length);
    this.#pieces.push(this.#piece);
    return this.#template();
  }

  /** Deals with the character at `at` and says where to go on. */
  #step(at: number): number {
    switch (this.#sql[at]) {
      case ':':
        return this.#bind(at);
      case '\\':
        return this.#escape(at);
      default:
        return this.#opaque(at);
    }
  }

  #bind(at: number): number {
    const name = bindNameAt(this.#sql, at);
    if (name === undefined) return at + 1;
    const end = at + 1 + name.length;
    this.#copyUntil(at);
    this.#copied = end;
    this.#pieces.push(this.#piece);
    this.#piece = '';
    const bind = this.#numbers.get(name) ?? this.#numbers.size;
    this.#numbers.set(name, bind);
    this.#slots.push({
      bind,
      membership: membershipOf(this.#sql.slice(this.#codeStart, at), this.#sql, end),
    });
    this.#codeStart = end;
    return end;
  }

  #escape(at: number): number {
    if (this.#sql[at + 1] !== ':') return at + 1;
    this.#copyUntil(at);
    this.#copied = at + 1;
    this.#codeStart = at + 2;
    return at + 2;
  }

  #opaque(at: number): number {
    const end = skipLiteral(this.#sql, at);
    if (end === at) return at + 1;
    this.#copyUntil(at);
    // SQLAlchemy asks for the escape inside literals too, so texts written for it carry it there.
    this.#piece += this.#sql.slice(at, end).replaceAll('\\:', ':');
    this.#copied = end;
    this.#codeStart = end;
    return end;
  }

  #copyUntil(end: number): void {
    this.#piece += this.#sql.slice(this.#copied, end);
  }

  #template(): TextTemplate {
    let text = '';
    for (const [index, slot] of this.#slots.entries()) text += `${this.#pieces[index]}$${slot.bind + 1}`;
    text += this.#piece;
    return {
      text,
      names: [...this.#numbers.keys()],
      pieces: this.#pieces,
      slots: this.#slots,
      control: transactionChange(text),
      createdAt: performance.now(),
    };
  }
}

/** A name that is followed by one colon or by a dollar sign is something else: a[:low:high], a[:a$b]. */
const bindPattern = lazy(
  () => new RegExp(String.raw`(?<![${IN_WORD}:$]):(?<name>[${IN_WORD}]+)(?![${IN_WORD}$]|:(?!:))`, 'uy'),
);

function bindNameAt(sql: string, at: number): string | undefined {
  const bind = bindPattern();
  bind.lastIndex = at;
  return bind.exec(sql)?.groups?.['name'];
}

function membershipOf(code: string, sql: string, end: number): Membership | undefined {
  const found = /\b(not\s+)?in\s*(\(\s*)?$/i.exec(code);
  if (found === null) return undefined;
  const closing = found[2] === undefined ? '' : (/^\s*\)/.exec(sql.slice(end))?.[0] ?? undefined);
  if (closing === undefined) return undefined;
  return { isNegated: found[1] !== undefined, before: found[0].length, after: closing.length };
}
