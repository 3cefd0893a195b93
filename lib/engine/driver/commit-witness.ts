import { InterfaceError } from '../errors/errors.js';
import { isPlainRead } from '../statement/plain-read.js';
import { transactionCommand } from '../statement/transaction-command.js';
import { LruCache } from '../util/lru-cache.js';
import type { Command, CommandResult } from './driver.js';
import { IS_DISTRIBUTED } from './distributed.js';
import { SERVER_COLUMNS, STARTED_AT, type SessionOrigin, type TransactionMark } from './transaction-mark.js';

const ORIGIN_COLUMNS = `pg_catalog.pg_backend_pid() AS pid, (SELECT ${STARTED_AT}
  FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())) AS "startedAt", ${SERVER_COLUMNS}`;

const ID = 'SELECT pg_catalog.pg_current_xact_id_if_assigned()::text AS id';

/** Asked once: where the session is. */
export const ORIGIN_QUESTION: Command = {
  text: `SELECT ${ORIGIN_COLUMNS}, ${IS_DISTRIBUTED} AS "isDistributed"`,
  prepare: false,
};
const ID_QUESTION: Command = { text: ID };
const WHOLE_QUESTION: Command = { text: `${ID}, ${ORIGIN_COLUMNS}` };

/** Texts of which it is remembered whether they only read. */
const MOST_TEXTS = 200;
const LONGEST_KNOWN = 8_192;

/** Statements that have no effect behind their transaction. */
const PASSES = /^\s*(?:SET|SHOW|RESET|LOCK|LISTEN|UNLISTEN|CLOSE|DEALLOCATE)\b/i;

/** Statements that change rows or the schema, and have an id where they did. */
const CHANGES_ROWS = /^\s*(?:INSERT|UPDATE|DELETE|MERGE|COPY|CREATE|ALTER|DROP|TRUNCATE)\b/i;

/** Travels behind what it is about. */
export interface IdQuestion {
  readonly command: Command;
  sent(): void;
  answered(result: CommandResult): void;
}

type Effect = 'read' | 'change' | 'unknown' | 'control';

/**
 * Learns under which id the transaction of a session runs: the question travels behind its statements, until
 * it is answered with an id.
 */
export class CommitWitness {
  readonly #processId: () => number | undefined;
  readonly #known = new LruCache<string, Effect>(MOST_TEXTS);
  #origin: SessionOrigin | undefined;
  #id: string | undefined;
  /** `pending`: it has run what may have got it an id, and the answer is still to come. */
  #effects: 'none' | 'pending' | 'possible' = 'none';

  /** `processId`: what the session was told at its start, which a pooler makes up. */
  constructor(processId: () => number | undefined) {
    this.#processId = processId;
  }

  /** Of the transaction that the session is in or was last in; undefined where the server can't be asked. */
  get mark(): TransactionMark | undefined {
    const origin = this.#origin;
    return origin && { id: this.#id, isPlain: this.#effects === 'none', origin };
  }

  /** The answer to {@link ORIGIN_QUESTION}. Throws where an outcome can't be known. */
  start({ rows }: CommandResult): void {
    const { isDistributed, ...origin } = rows[0] as unknown as SessionOrigin & { isDistributed: boolean };
    if (isDistributed) throw new InterfaceError('its transactions are spread over several servers');
    this.#origin = origin;
  }

  /** What travels behind these statements of a transaction; undefined where there is nothing to learn. */
  questionBehind(commands: readonly Command[]): IdQuestion | undefined {
    if (this.#origin === undefined || this.#id !== undefined) return undefined;
    const effects = new Set<Effect>();
    let last: string | undefined;
    for (const { text } of commands) {
      if (text !== last) effects.add(this.#effectOf(text));
      last = text;
    }
    const isWrite = effects.has('unknown') || effects.has('change');
    // COMMIT and ROLLBACK leave nothing to ask for.
    if (effects.has('control') || (!isWrite && this.#effects === 'none')) return undefined;
    return {
      command: this.#origin.pid === this.#processId() ? ID_QUESTION : WHOLE_QUESTION,
      sent: () => {
        if (effects.has('unknown')) this.#effects = 'possible';
        else if (isWrite && this.#effects === 'none') this.#effects = 'pending';
      },
      answered: (result) => this.#answered(result),
    };
  }

  #answered({ rows }: CommandResult): void {
    const { id, ...origin } = rows[0] as unknown as { id: string | null } & Partial<SessionOrigin>;
    this.#id = id ?? undefined;
    if (this.#effects === 'pending') this.#effects = 'none';
    // Behind a pooler, each transaction may be on another process.
    if (origin.pid !== undefined) this.#origin = origin as SessionOrigin;
  }

  /** Something was sent that is not known here. */
  noteForeign(): void {
    this.#effects = 'possible';
  }

  /** The session is in no transaction any more. */
  reset(): void {
    this.#id = undefined;
    this.#effects = 'none';
  }

  #effectOf(text: string): Effect {
    if (text.length > LONGEST_KNOWN) return effectOf(text);
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const effect = effectOf(text);
    this.#known.set(text, effect);
    return effect;
  }
}

function effectOf(text: string): Effect {
  if (isPlainRead(text)) return 'read';
  // A script, perhaps: what its first words say is not all.
  if (text.includes(';')) return 'unknown';
  if (transactionCommand(text) !== undefined) return 'control';
  if (PASSES.test(text)) return 'read';
  return CHANGES_ROWS.test(text) && !/notify/i.test(text) ? 'change' : 'unknown';
}
