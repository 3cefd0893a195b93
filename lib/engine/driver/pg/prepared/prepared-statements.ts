import { randomBytes } from 'node:crypto';
import { changesOf, NOTHING, type SessionChange } from '../../session-changes.js';
import { withoutTrailingComment } from '../../../statement/trailing-comment.js';
import { lazy } from '../../../util/lazy.js';
import { LruCache } from '../../../util/lru-cache.js';
import type { NarrowTypes } from '../wire/narrow-types.js';
import type { RowLayout } from '../wire/row-builder.js';
import { hasMoment } from './moment.js';
import { mayConfigure, ParseSettings } from './parse-settings.js';
import type { StatementRegistry } from './statement-registry.js';

/**
 * Texts whose rows the server promises to keep as they were described: for a planned statement it refuses a
 * change (0A000), and these commands have none. EXECUTE, FETCH, CALL and SHOW return what the moment has.
 */
const STABLE_ROWS = /^\s*(?:\(|(?:SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES|TABLE)\b)/i;

/**
 * Commands without rows and values. What is sent inside of a transaction or ends it must not depend on a
 * name; a BEGIN of ours without its name is refused where nothing has happened, and sent again.
 */
const CONTROL =
  /^\s*(?:BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|PREPARE\s+TRANSACTION|DISCARD|DEALLOCATE)\b/i;

const TEMPORARY = /^\s*CREATE\s+(?:(?:GLOBAL|LOCAL)\s+)?TEMP(?:ORARY)?\b/i;

/**
 * A longer text, or one of more values, is hardly ever the same again, and costs the server's session memory.
 */
const LONGEST_NAMED = 8_192;
const MOST_VALUES = 100;

/** Texts without a name of which it is remembered what types their values have. */
const MOST_ASKED = 200;

/** What all names of ours start with. */
export const NAME_PREFIX = 'nae_';

/** Rows that one INSERT stores from arrays, one for each bind. */
export interface ArrayInsert {
  readonly sql: string;
  readonly typeOids: readonly number[];
}

/** A text that was parsed on the server, and what is known of it. The unnamed one has an empty name. */
export class PreparedStatement {
  readonly name: string;
  readonly text: string;
  /** False: its rows may look different each time, so that each execution must ask. */
  readonly hasStableRows: boolean;
  /** What an execution leaves behind in the session. */
  readonly changes: readonly SessionChange[];
  /** It may change a setting that parsing reads. */
  readonly configures: boolean;
  /** The number of the task that parsed it. */
  readonly parsedIn: number;
  /** Without a name: when the server has told its types. */
  parsedAt: number;
  /** False until the first execution has told whether there are rows and how they look. */
  isDescribed: boolean;
  /** Undefined for a statement that returns no rows. */
  layout: RowLayout | undefined;
  /** The types of its values; undefined until the server was asked. */
  typeOids: readonly number[] | undefined;
  /** Those of its types that cut values off; undefined: none, or not known. */
  narrowTypes: NarrowTypes | undefined;
  /** How it inserts many rows at once; undefined until it is known whether it can. */
  arrayInsert: ArrayInsert | 'none' | undefined;

  constructor(name: string, text: string, parsedIn: number) {
    this.name = name;
    this.text = text;
    this.parsedIn = parsedIn;
    this.parsedAt = name === '' ? 0 : performance.now();
    const isControl = CONTROL.test(text);
    this.hasStableRows = !isControl && STABLE_ROWS.test(text);
    this.changes = isControl ? NOTHING : changesOf(text);
    this.configures = !isControl && mayConfigure(text);
    this.isDescribed = isControl;
  }

  get isNamed(): boolean {
    return this.name !== '';
  }
}

/** They leave nothing behind and have no rows: one object of each is for all sessions. */
export const plainEnds = lazy<ReadonlyMap<string, PreparedStatement>>(
  () => new Map(['COMMIT', 'ROLLBACK'].map((text) => [text, new PreparedStatement('', text, 0)])),
);

/**
 * The named statements of one session: the least recently used one makes room. No name is ever used twice, in
 * no session, so that a name can't stand for two texts, also behind a pooler; what was evicted is closed on
 * the server by the next batch.
 */
export class PreparedStatements {
  readonly settings = new ParseSettings();
  /** Called when the server has dropped every name. */
  onVanish: (() => void) | undefined;
  /**
   * True: a pooler may give each transaction another session, where a name is missing. Set where that is
   * suspected and not known.
   */
  isUncertain = false;
  readonly #registry: StatementRegistry;
  readonly #named: LruCache<string, PreparedStatement>;
  /** Without a name, kept for the types of their values; made with the first of them. */
  #asked: LruCache<string, PreparedStatement> | undefined;
  readonly #prefix = `${NAME_PREFIX}${randomBytes(8).toString('hex')}_`;
  /** Names to be closed by the next batch, which takes them out. */
  readonly evicted: string[] = [];
  #count = 0;
  /** What DDL of the transaction has changed; a temporary table is seen by its own session alone. */
  #ddl: 'none' | 'temporary' | 'any' = 'none';

  constructor(size: number, registry: StatementRegistry) {
    this.#named = new LruCache(size);
    this.#registry = registry;
    registry.add(this);
  }

  /** The session has ended. */
  end(): void {
    this.#registry.remove(this);
  }

  /** What a text is kept by; undefined: it can't be kept. Control means the same under all settings. */
  keyOf(text: string, isControl = false): string | undefined {
    return isControl ? text : this.settings.keyOf(text);
  }

  find(text: string, isControl = false): PreparedStatement | undefined {
    const key = isControl || this.settings.state === 'own' ? text : this.settings.keyOf(text);
    // A BEGIN between all others would put the list in order each time.
    const found = key === undefined ? undefined : isControl ? this.#named.peek(key) : this.#named.get(key);
    if (found === undefined || performance.now() - found.parsedAt < this.#registry.maxAge) return found;
    this.#drop(this.#named, key ?? '');
    return undefined;
  }

  /** What is known of the values of a text that was asked about, with or without a name. */
  findAsked(text: string): PreparedStatement | undefined {
    const key = this.settings.keyOf(text) ?? '';
    const found = this.find(text);
    if (found?.typeOids !== undefined) return found;
    const asked = this.#asked?.peek(key);
    const youngest = performance.now() - this.#registry.maxAge;
    return asked !== undefined && asked.parsedAt > youngest ? asked : undefined;
  }

  keepAsked(statement: PreparedStatement): void {
    const key = this.settings.keyOf(statement.text);
    if (key !== undefined) (this.#asked ??= new LruCache(MOST_ASKED)).set(key, statement);
  }

  /** A statement for a Parse that is about to be sent; with a fresh name where the text may have one. */
  create(
    step: { readonly prepare: boolean; readonly isControl: boolean; readonly values: readonly unknown[] },
    text: string,
    task: number,
  ): PreparedStatement {
    const isShort = step.values.length <= MOST_VALUES && text.length <= LONGEST_NAMED;
    const isNamed =
      step.prepare &&
      isShort &&
      this.#named.limit > 0 &&
      this.keyOf(text, step.isControl) !== undefined &&
      this.#registry.allows(text) &&
      (!CONTROL.test(text) || (step.isControl && text.startsWith('BEGIN'))) &&
      !hasMoment(text);
    if (!isNamed) return new PreparedStatement('', text, task);
    this.#count += 1;
    return new PreparedStatement(`${this.#prefix}${this.#count}`, text, task);
  }

  /** The server confirmed the Parse. */
  keep(key: string | undefined, statement: PreparedStatement): void {
    // Names may have been turned off, or refused to the text, while it was on its way.
    if (key === undefined || !this.#registry.allows(statement.text))
      return void this.evicted.push(statement.name);
    // Of two batches that parse one text side by side, the later name stays.
    this.#drop(this.#named, key);
    const oldest = this.#named.set(key, statement);
    if (oldest !== undefined) this.evicted.push(oldest.name);
  }

  /** Forgets the text under whatever settings it was parsed; its names are closed with the next batch. */
  forget(text: string): void {
    for (const cache of this.#caches) {
      for (const key of cache.keys()) {
        if (cache.peek(key)?.text === text) this.#drop(cache, key);
      }
    }
  }

  /** All names are closed; the server allows that for a name that it does not have. */
  forgetAll(): void {
    for (const cache of this.#caches) for (const key of cache.keys()) this.#drop(cache, key);
  }

  get #caches(): readonly LruCache<string, PreparedStatement>[] {
    return this.#asked === undefined ? [this.#named] : [this.#named, this.#asked];
  }

  #drop(cache: LruCache<string, PreparedStatement>, key: string): void {
    const statement = cache.delete(key);
    if (statement?.isNamed === true) this.evicted.push(statement.name);
  }

  /** What a statement of the application means for those that are parsed already. */
  handleTag(tag: string, text: string, hasRows: boolean): void {
    const space = tag.indexOf(' ');
    switch (space === -1 ? tag : tag.slice(0, space)) {
      case 'SELECT':
        // SELECT INTO and CREATE TABLE AS have this tag, and no rows.
        if (!hasRows) this.#changeSchema(text);
        return;
      case 'CREATE':
      case 'ALTER':
      case 'DROP':
      case 'IMPORT':
        return this.#changeSchema(text);
      case 'DO':
        this.#changeSchema(text);
        return this.settings.change();
      case 'DISCARD':
      case 'DEALLOCATE':
        if (!tag.endsWith(' ALL')) return this.forgetAll();
        if (tag === 'DISCARD ALL') this.settings.change();
        return this.#vanish();
      case 'SET':
      case 'RESET':
        return this.settings.handleSet(text);
      case 'ROLLBACK':
        // Of a savepoint, too: what was parsed behind the DDL is as outdated as what was parsed before it.
        if (this.#ddl !== 'none') this.forgetAll();
        return this.settings.handleRollback();
    }
  }

  /** The server has dropped every name. */
  #vanish(): void {
    this.onVanish?.();
    this.#named.clear();
    this.#asked?.clear();
    this.evicted.length = 0;
  }

  #changeSchema(text: string): void {
    this.forgetAll();
    if (!TEMPORARY.test(text)) this.#ddl = 'any';
    else if (this.#ddl === 'none') this.#ddl = 'temporary';
  }

  /** ReadyForQuery: what the transaction has changed is seen by all sessions from now on. */
  ready(status: 'idle' | 'open' | 'failed'): void {
    if (status !== 'idle') return;
    if (this.settings.state !== 'own' && this.settings.ended()) this.forgetAll();
    if (this.#ddl === 'none') return;
    // A temporary table may have ended with its transaction.
    if (this.#ddl === 'any') this.#registry.forgetAll();
    else this.forgetAll();
    this.#ddl = 'none';
  }

  /** The statement has failed in a way that an outdated parse of it may fail; `state` is its SQLSTATE. */
  distrust(text: string): void {
    this.#registry.forget(withoutTrailingComment(text));
  }

  refuseName(text: string): void {
    this.#registry.refuse(withoutTrailingComment(text));
  }

  turnOff(): void {
    this.#registry.turnOff();
  }
}
