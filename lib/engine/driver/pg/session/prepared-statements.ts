import { changesOf } from '../../session-changes.js';
import type { SessionChange } from '../../session-changes.js';
import { LruCache } from '../../../util/lru-cache.js';
import type { RowLayout } from '../wire/row-builder.js';

/**
 * Texts whose rows the server promises to keep as they were described: for a planned statement it refuses a
 * change (0A000), and these commands have none. EXECUTE, FETCH, CALL and SHOW return what the moment has.
 */
const STABLE_ROWS =
  /^\s*(?:\(|(?:SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES|TABLE|BEGIN|START|COMMIT|END|ROLLBACK)\b)/i;

/**
 * A statement that was parsed on the server, and what is known of its rows. The unnamed one has an empty
 * name.
 */
export class PreparedStatement {
  readonly name: string;
  /** False: its rows may look different each time, so that each execution must ask. */
  readonly hasStableRows: boolean;
  /** What an execution leaves behind in the session. */
  readonly changes: readonly SessionChange[];
  /** False until the first execution has told whether there are rows and how they look. */
  isDescribed = false;
  /** Undefined for a statement that returns no rows. */
  layout: RowLayout | undefined;
  /** How it inserts many rows at once; undefined until the server was asked for the types of its binds. */
  many: { readonly sql: string; readonly typeOids: readonly number[] } | 'none' | undefined;

  constructor(name: string, text: string) {
    this.name = name;
    this.hasStableRows = STABLE_ROWS.test(text);
    this.changes = changesOf(text);
  }

  get isNamed(): boolean {
    return this.name !== '';
  }
}

/**
 * The named statements of one session: the least recently used one makes room. Names are never used twice, so
 * that a name can't stand for two texts; what was evicted is closed on the server by the next batch.
 */
export class PreparedStatements {
  readonly #byText: LruCache<string, PreparedStatement>;
  #evicted: string[] = [];
  #count = 0;

  constructor(size: number) {
    this.#byText = new LruCache(size);
  }

  get isEnabled(): boolean {
    return this.#byText.limit > 0;
  }

  find(text: string): PreparedStatement | undefined {
    return this.#byText.get(text);
  }

  /** A fresh name for a Parse that is about to be sent. */
  create(text: string): PreparedStatement {
    this.#count += 1;
    return new PreparedStatement(`nae_${this.#count}`, text);
  }

  /** The server confirmed the Parse. */
  keep(text: string, statement: PreparedStatement): void {
    // Two batches can parse one text side by side: the later name stays.
    this.forget(text);
    const oldest = this.#byText.set(text, statement);
    if (oldest !== undefined) this.#evicted.push(oldest.name);
  }

  /** Drops the text; its name is closed with the next batch. */
  forget(text: string): void {
    const statement = this.#byText.delete(text);
    if (statement !== undefined) this.#evicted.push(statement.name);
  }

  /**
   * One name has vanished, so others may have: all are closed, which the server allows for a name that it
   * lacks.
   */
  forgetAll(): void {
    for (const text of this.#byText.keys()) this.forget(text);
  }

  /** The server has dropped every name: DISCARD ALL, DEALLOCATE ALL. */
  vanish(): void {
    this.#byText.clear();
    this.#evicted = [];
  }

  /** The names to close now; each is given out once. */
  takeEvicted(): readonly string[] {
    if (this.#evicted.length === 0) return this.#evicted;
    const names = this.#evicted;
    this.#evicted = [];
    return names;
  }
}
