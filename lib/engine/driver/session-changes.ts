import { ChangedValues } from './changed-values.js';

/** A statement that undoes something; structurally a command of the driver. */
export interface UndoStatement {
  readonly text: string;
  readonly values?: readonly unknown[];
  readonly prepare: false;
}

/** What a borrower can leave behind in a session, each with what undoes it. */
const UNDO = {
  settings: ['SET SESSION AUTHORIZATION DEFAULT', 'RESET ROLE', 'RESET ALL'],
  channels: ['UNLISTEN *'],
  statements: ['DEALLOCATE ALL'],
  cursors: ['CLOSE ALL'],
  temporary: ['DISCARD TEMP'],
  locks: ['SELECT pg_advisory_unlock_all()'],
} as const;

export type SessionChange = keyof typeof UNDO;

/** By the tag of a command that has succeeded. */
const BY_TAG: ReadonlyMap<string, SessionChange> = new Map([
  ['SET', 'settings'],
  ['RESET', 'settings'],
  ['DISCARD ALL', 'settings'],
  ['LISTEN', 'channels'],
  ['PREPARE', 'statements'],
  ['DECLARE CURSOR', 'cursors'],
]);

/** Tags of commands that change the session, or its named statements. */
export const SESSION_TAGS: ReadonlySet<string> = new Set([...BY_TAG.keys(), 'DEALLOCATE ALL']);

/** A SET that ends with its transaction. */
const LOCAL_SET = /^\s*SET\s+(?:LOCAL|TRANSACTION|CONSTRAINTS)\b/i;
/** A cursor that outlives its transaction. */
const HELD_CURSOR = /\bWITH\s+HOLD\b/i;
const WORTH_A_LOOK =
  /\bset_|tenant|session|pg_(?:try_)?advisory_lock|\btemp(?:orary)?\b|\bpg_temp\b|\bpg_settings\b|\bDO\b/i;
/** A call of a function of the database's own whose name says that it sets something. */
const SETTER =
  /\b(?:select|call)\s+(?:[\w"]+\s*\.\s*)?"?(?!set_(?:config|bit|byte|masklen)\b)(?:set_\w+|\w*(?:tenant|session)\w*)"?\s*\(/i;
const SET_CONFIG = /\bset_config"?\s*\(/gi;
/** A view that takes updates. */
const SETTINGS_UPDATE = /\bupdate\s+(?:pg_catalog\s*\.\s*)?pg_settings\b/i;
/** Its commands have no tags of their own. `ON CONFLICT DO` is none. */
const BLOCK = /\bDO\s+(?:LANGUAGE\s+\w+\s+)?[$']/i;
const LOCAL_CONFIG = /,\s*true\s*\)/gi;

/** What a statement can leave behind under any tag, by a function that it calls. */
const BY_FUNCTIONS: readonly SessionChange[] = ['settings', 'channels', 'cursors', 'temporary', 'locks'];

/** Reported parameters that change without the borrower, or that no RESET brings back. */
const NOT_OF_THE_BORROWER: ReadonlySet<string> = new Set([
  'in_hot_standby',
  'integer_datetimes',
  'scram_iterations',
  'server_encoding',
  'server_version',
]);

export const NOTHING: readonly SessionChange[] = [];

/** What a statement of this text leaves behind that its command tag does not tell. */
export function changesOf(text: string): readonly SessionChange[] {
  if (!WORTH_A_LOOK.test(text)) return NOTHING;
  const changes: SessionChange[] = [];
  const calls = text.match(SET_CONFIG)?.length ?? 0;
  const isBlock = BLOCK.test(text);
  const isSet = SETTINGS_UPDATE.test(text) || (isBlock && /\b(?:SET|EXECUTE)\b/i.test(text));
  if (isSet || SETTER.test(text) || calls > (text.match(LOCAL_CONFIG)?.length ?? 0)) changes.push('settings');
  if (isBlock && /\b(?:LISTEN|EXECUTE)\b/i.test(text)) changes.push('channels');
  if (/pg_(?:try_)?advisory_lock/i.test(text)) changes.push('locks');
  if (/\btemp(?:orary)?\b|\bpg_temp\b/i.test(text) && /\b(?:create|into)\b/i.test(text))
    changes.push('temporary');
  return changes;
}

/**
 * What a session was seen to change since it was opened or restored. Seen are command tags, reported
 * parameters, and `set_config`, `pg_advisory_lock` and temporary tables in a text; what a function does
 * inside is not, unless its name says that it sets something. A borrower that used the driver's client itself
 * may have changed anything.
 */
export class SessionChanges {
  /** The engine's own settings, which are applied again behind RESET ALL. */
  readonly #settings: Readonly<Record<string, string>>;
  /** Nothing is to be undone; changed here alone. */
  isEmpty = true;
  /** Made with the first of them. */
  #seen: Set<SessionChange> | undefined;
  /** Reported parameters that are not as they were when the session was opened or restored. */
  readonly #parameters = new ChangedValues();
  #isClientUsed = false;
  /** `prepared`: it was changed before it was first lent, so that RESET would undo that, too. */
  #origin: 'opening' | 'plain' | 'prepared';

  /** `isForeign`: something else opened the session, so that its first state is not known. */
  constructor(settings: Readonly<Record<string, string>> = {}, isForeign = false) {
    this.#settings = settings;
    this.#origin = isForeign ? 'prepared' : 'opening';
  }

  get #hasSeenNothing(): boolean {
    return this.#seen === undefined && this.#parameters.size === 0;
  }

  /** The borrower sends statements of its own to the driver's client. */
  noteClientUse(): void {
    this.#isClientUsed = true;
    this.isEmpty = false;
  }

  add(changes: readonly SessionChange[]): void {
    for (const change of changes) this.#see(change);
  }

  #see(change: SessionChange): void {
    (this.#seen ??= new Set()).add(change);
    this.isEmpty = false;
  }

  /** A command has succeeded; `text` is undefined where it is not known. */
  noteTag(tag: string, text: string | undefined): void {
    const change = BY_TAG.get(tag);
    if (change === undefined) return;
    if (tag === 'SET' && text !== undefined && LOCAL_SET.test(text)) return;
    if (tag === 'DECLARE CURSOR' && text !== undefined && !HELD_CURSOR.test(text)) return;
    this.#see(change);
  }

  /** The server has reported the value of a parameter that was `before`. */
  noteParameter(name: string, before: string | undefined, value: string): void {
    if (NOT_OF_THE_BORROWER.has(name)) return;
    this.#parameters.note(name, before, value);
    this.isEmpty = !this.#isClientUsed && this.#hasSeenNothing;
  }

  /**
   * The session is ready to be lent. What was changed since it was opened, by a listener of `connect` for
   * example, belongs to it.
   */
  settle(): void {
    if (this.#origin === 'opening') this.#origin = this.#hasSeenNothing ? 'plain' : 'prepared';
    this.clear();
  }

  /** What undoes the changes; undefined where only a new session is like this one was. */
  undo(): readonly UndoStatement[] | undefined {
    if (this.#origin === 'prepared') return undefined;
    const kinds = new Set([...(this.#seen ?? []), ...(this.#isClientUsed ? BY_FUNCTIONS : [])]);
    if (this.#parameters.size > 0) kinds.add('settings');
    const texts = [...kinds].flatMap((change) => UNDO[change]);
    const undone = texts.map((text): UndoStatement => ({ text, prepare: false }));
    const settings = texts.includes('RESET ALL') ? settingsCommand(this.#settings) : undefined;
    return settings === undefined ? undone : [...undone, settings];
  }

  /** The session is as it was. */
  clear(): void {
    this.#seen = undefined;
    this.#isClientUsed = false;
    this.#parameters.settle();
    this.isEmpty = true;
  }
}

/** Sets `settings` for the session; undefined where there are none. */
export function settingsCommand(
  settings: Readonly<Record<string, string>>,
): (UndoStatement & { readonly values: readonly unknown[] }) | undefined {
  const entries = Object.entries(settings);
  if (entries.length === 0) return undefined;
  const calls = entries.map((_, index) => `set_config($${2 * index + 1}, $${2 * index + 2}, FALSE)`);
  return { text: `SELECT ${calls.join(', ')}`, values: entries.flat(), prepare: false };
}
