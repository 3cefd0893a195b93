import { LruCache } from '../../../util/lru-cache.js';

/** Texts that keep having no name; far more than those that a pooler can hold a stale plan of. */
const MOST_UNNAMED = 1_000;

/** The statements of one session. */
interface SessionStatements {
  forget(text: string): void;
  forgetAll(): void;
}

/** What the sessions of one engine have to know of each other's prepared statements. */
export class StatementRegistry {
  /** Milliseconds after which a statement is parsed anew; `Infinity`: never. */
  readonly maxAge: number;
  readonly #warn: (message: string) => void;
  readonly #sessions = new Set<SessionStatements>();
  readonly #unnamed = new LruCache<string, true>(MOST_UNNAMED);
  #state: 'named' | 'unnamed' = 'named';

  constructor(maxAge = Number.POSITIVE_INFINITY, warn: (message: string) => void = () => undefined) {
    this.maxAge = maxAge;
    this.#warn = warn;
  }

  add(statements: SessionStatements): void {
    this.#sessions.add(statements);
  }

  remove(statements: SessionStatements): void {
    this.#sessions.delete(statements);
  }

  /** False: the text is not to become a named statement. */
  allows(text: string): boolean {
    return this.#state === 'named' && (this.#unnamed.size === 0 || this.#unnamed.peek(text) === undefined);
  }

  /** The text was parsed against what has changed since. */
  forget(text: string): void {
    for (const session of this.#sessions) session.forget(text);
  }

  /** DDL: any text may mean something else now. */
  forgetAll(): void {
    for (const session of this.#sessions) session.forgetAll();
  }

  /**
   * From now on the text has no name: what keeps it under a name between us and the server keeps it stale.
   */
  refuse(text: string): void {
    this.#unnamed.set(text, true);
    this.forget(text);
  }

  /** A name was gone that nothing on its own session had dropped: sessions change behind our back. */
  turnOff(): void {
    if (this.#state === 'unnamed') return;
    this.#state = 'unnamed';
    this.forgetAll();
    this.#warn(
      'a prepared statement was gone from its session, as behind a pooler in transaction mode that does not track ' +
        'them. This engine uses no named statements from now on. Set pgbouncer: true, or let the pooler track them ' +
        '(max_prepared_statements of PgBouncer 1.21).',
    );
  }
}
