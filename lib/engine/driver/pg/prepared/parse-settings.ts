import { ChangedValues } from '../../changed-values.js';
import type { ServerStatus } from '../../driver.js';

/**
 * What PostgreSQL reads while it parses: the same text under another value of one is another statement. The
 * role is the schema `"$user"` of the search_path.
 */
const PARSE_SETTINGS = [
  'search_path',
  'role',
  'session_authorization',
  'timezone',
  'datestyle',
  'intervalstyle',
  'standard_conforming_strings',
  'transform_null_equals',
  'array_nulls',
  'xmloption',
  'lc_monetary',
] as const;

const NAMES: ReadonlySet<string> = new Set(PARSE_SETTINGS);

const NAMED = new RegExp(PARSE_SETTINGS.join('|'), 'i');
const MENTIONED = new RegExp(
  String.raw`\b(?:${PARSE_SETTINGS.join('|')}|schema|authorization|time\s+zone|all)\b`,
  'i',
);

/** What SET or RESET sets: the first word of `TIME ZONE`, the last one of `SESSION AUTHORIZATION`. */
const SET_COMMAND = /^\s*(?:RE)?SET\s+(?:(LOCAL)\s+|SESSION\s+)?"?(\w+)/i;

/** Words behind SET that stand for one of them. */
const SYNONYMS: ReadonlySet<string> = new Set(['schema', 'session', 'authorization', 'time', 'xml', 'all']);

/**
 * What a session's statements are parsed under. Its own settings need no key, because a change of them
 * forgets every parsed statement; what Control sets for a transaction becomes a part of the key.
 */
export class ParseSettings {
  /** Of those that the server has reported, by name in lower case: since the session was idle last. */
  readonly #changed = new ChangedValues();
  /** Made with the first of them. */
  #local: Map<string, string> | undefined;
  #localKey = '';
  /**
   * `own`: all are as the session has them, so that a text needs no key. `unknown`: nothing can be said
   * before the transaction has ended. Changed here alone.
   */
  state: 'own' | 'local' | 'unknown' = 'own';
  /** Settings were set behind a SAVEPOINT, whose ROLLBACK takes them back. */
  #isNested = false;
  /** The session's own settings may differ from those under which its statements were parsed. */
  #isChanged = false;

  /** What a parsed statement is kept by; undefined: it can't be kept. */
  keyOf(text: string): string | undefined {
    if (this.state === 'own') return text;
    return this.state === 'local' ? `${text}\0${this.#localKey}` : undefined;
  }

  /**
   * Control changes these for the rest of the transaction. `values` are names and values in turn, unless they
   * are brought back from where they were kept.
   */
  setLocally(names: readonly string[], values: readonly unknown[], startedIn: ServerStatus): void {
    for (const [index, name] of names.entries()) {
      const known = name.toLowerCase();
      if (!NAMES.has(known)) continue;
      if (values.length !== 2 * names.length) return this.changeLocally();
      const local = (this.#local ??= new Map());
      local.set(known, String(values[2 * index + 1]));
      this.#isNested ||= startedIn !== 'idle';
      this.#localKey = [...local]
        .map((entry) => entry.join('='))
        .sort()
        .join('\0');
      if (this.state === 'own') this.state = 'local';
    }
  }

  /** SET or RESET, or a script with one. */
  handleSet(text: string): void {
    const [, local, word] = SET_COMMAND.exec(text) ?? [];
    const name = word?.toLowerCase();
    // A script, or a SET behind a comment, may set whatever it names.
    const isOne = name === undefined ? MENTIONED.test(text) : NAMES.has(name) || SYNONYMS.has(name);
    if (!isOne) return;
    if (local === undefined) this.change();
    else this.changeLocally();
  }

  /** ROLLBACK TO SAVEPOINT takes back what was set behind the savepoint. */
  handleRollback(): void {
    if (this.#isNested) this.changeLocally();
  }

  /** Some setting was changed, for the session or for the transaction. */
  change(): void {
    this.#isChanged = true;
    this.state = 'unknown';
  }

  /** The same, and the end of the transaction changes it back. */
  changeLocally(): void {
    this.state = 'unknown';
  }

  /** ParameterStatus; `before`: the value until now. */
  report(name: string, before: string | undefined, value: string): void {
    const known = name.toLowerCase();
    if (!NAMES.has(known)) return;
    this.#changed.note(known, before, value);
    // What Control has set is reported as well, as is its end.
    if (this.#changed.has(known) && this.#local?.has(known) !== true) this.state = 'unknown';
  }

  /** The transaction has ended. True: what was parsed before has to be forgotten. */
  ended(): boolean {
    this.state = 'own';
    this.#isNested = false;
    this.#localKey = '';
    this.#local = undefined;
    const isChanged = this.#isChanged || this.#changed.size > 0;
    this.#isChanged = false;
    this.#changed.settle();
    return isChanged;
  }
}

/** True: the text may call set_config() for a setting that parsing reads. */
export function mayConfigure(text: string): boolean {
  if (!text.includes('set_config')) return false;
  // A name that is bound as a value can be any.
  return NAMED.test(text) || /set_config\s*\(\s*[^'\s]/i.test(text);
}
