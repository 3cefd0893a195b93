import type { Command, CommandResult, DriverConnection } from '../../engine/index.js';
import { quoteLiteral } from '../../engine/statement/literal.js';
import { replaceOpaque } from '../../engine/statement/skip-literal.js';
import { unprepared } from './piece.js';
import { TemporaryTables } from './temporary-tables.js';
import { writtenRows } from './written-rows.js';

const CANDIDATE = /\bCOMMIT\b|\bCURSOR\b|advisory_xact_lock/i;
const NAME = String.raw`("(?:[^"]|"")+"|[^\s("]+)`;
const CURSOR = new RegExp(String.raw`\bDECLARE\s+${NAME}\s[^;]*?\bCURSOR\b(?!\s+WITH\s+HOLD)`, 'gi');
const LOCK =
  /(?<![\w$.]|\.\s+)(?:(?:pg_catalog|"pg_catalog")\s*\.\s*)?("?)(pg_(?:try_)?advisory_xact_lock(?:_shared)?)\1(?=\s*\()/gi;

const LOCKS = ['lock', 'lock_shared', 'try_lock', 'try_lock_shared'].map((kind) => {
  const [, attempt = '', shared = ''] = /^(try_)?lock(_shared)?$/.exec(kind) ?? [];
  return {
    taken: `pg_${attempt}advisory_xact_lock${shared}`,
    held: `pg_${attempt}advisory_lock${shared}`,
    attempt,
  };
});

/** The functions of the application's text, which take a lock that can be given back before the test ends. */
const DEFINITIONS: readonly Command[] = LOCKS.flatMap(({ taken, held, attempt }) =>
  ['bigint', 'int, int'].map((types) =>
    unprepared(
      `CREATE OR REPLACE FUNCTION pg_temp.${taken}(${types}) RETURNS ${attempt === '' ? 'void' : 'boolean'} LANGUAGE sql AS ` +
        `'SELECT pg_catalog.${held}(${types === 'bigint' ? '$1' : '$1, $2'})'`,
    ),
  ),
);

const OWN_LOCKS =
  "FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted";
const LOCK_KEY = "format('%s/%s/%s/%s', classid, objid, objsubid, mode)";

/**
 * What a COMMIT does besides storing: the temporary tables of ON COMMIT DROP and DELETE ROWS, cursors, and
 * advisory locks of the transaction end with it. The end of a savepoint keeps them, so they are followed by
 * what statements say.
 */
export class CommitEffects {
  readonly #session: DriverConnection;
  readonly #tables: TemporaryTables;
  readonly #cursors = new Set<string>();
  /** Advisory locks that were held before the first of the transaction was taken. */
  #locksBefore: readonly unknown[] | undefined;
  #ownRows = 0;

  /** `emptied`: the temporary tables that each COMMIT of the session empties. */
  constructor(session: DriverConnection, emptied: Set<string>) {
    this.#session = session;
    this.#tables = new TemporaryTables(session, emptied);
  }

  /** The rows that the work has written, without those of this class. */
  async writtenRows(): Promise<number> {
    return (await writtenRows(this.#session)) - this.#ownRows;
  }

  /** Hands the commands to `send` as they must be sent, and follows what they make. */
  async run<T>(commands: readonly Command[], send: (commands: readonly Command[]) => Promise<T>): Promise<T> {
    if (!commands.some(({ text }) => CANDIDATE.test(text))) return await send(commands);
    const codes = commands.map(({ text }) => codeOf(text));
    for (const code of codes) for (const [, cursor = ''] of code.matchAll(CURSOR)) this.#cursors.add(cursor);
    const sent = commands.map((command, index) => ({
      ...command,
      text: withOwnLocks(command.text, codes[index] ?? ''),
    }));
    const takesLock = sent.some(({ text }, index) => text !== commands[index]?.text);
    if (takesLock && this.#locksBefore === undefined) await this.#defineLocks();
    return await this.#tables.follow(codes, () => send(sent));
  }

  async #defineLocks(): Promise<void> {
    const rowsBefore = await writtenRows(this.#session);
    const [held] = await this.#session.executeMany(
      [],
      [unprepared(`SELECT ${LOCK_KEY} AS key ${OWN_LOCKS}`), ...DEFINITIONS],
    );
    this.#locksBefore = columnOf(held);
    this.#ownRows = (await writtenRows(this.#session)) - rowsBefore;
  }

  /** What the server does at a COMMIT; still inside the savepoint. */
  async commit(): Promise<void> {
    const texts = [...(await this.#closings()), ...this.#tables.endings];
    if (texts.length > 0) await this.#session.executeMany([], texts.map(unprepared));
    await this.releaseLocks();
  }

  /** After a rollback only locks are left. */
  async releaseLocks(): Promise<void> {
    if (this.#locksBefore === undefined) return;
    const before = this.#locksBefore.map((key) => quoteLiteral(String(key))).join(', ');
    await this.#session.executeMany([], [unprepared(releasing(before))]);
  }

  async #closings(): Promise<string[]> {
    if (this.#cursors.size === 0) return [];
    const open = await this.#session.execute(
      [],
      unprepared('SELECT name FROM pg_catalog.pg_cursors WHERE NOT is_holdable'),
    );
    const names = new Set(columnOf(open));
    return [...this.#cursors].filter((name) => names.has(folded(name))).map((name) => `CLOSE ${name}`);
  }
}

/** Gives back each lock as often as it was taken. */
function releasing(before: string): string {
  const key = '(classid::bigint << 32) | objid::bigint';
  const half = (column: string): string => `${column}::bigint::bit(32)::int`;
  return `DO $nae$ DECLARE l record; shared text; BEGIN
    LOOP
      SELECT classid, objid, objsubid, mode INTO l ${OWN_LOCKS} AND NOT ${LOCK_KEY} = ANY (ARRAY[${before}]::text[]) LIMIT 1;
      EXIT WHEN NOT FOUND;
      shared := CASE l.mode WHEN 'ShareLock' THEN '_shared' ELSE '' END;
      IF l.objsubid = 1 THEN EXECUTE format('SELECT pg_advisory_unlock%s($1)', shared) USING (${key.replace(/classid|objid/g, 'l.$&')});
      ELSE EXECUTE format('SELECT pg_advisory_unlock%s($1, $2)', shared) USING ${half('l.classid')}, ${half('l.objid')};
      END IF;
    END LOOP;
  END $nae$`;
}

/** The text with spaces in the place of literals and comments, so that each word of it is SQL. */
function codeOf(text: string): string {
  return replaceOpaque(text, (opaque) => (opaque.startsWith('"') ? opaque : ' '.repeat(opaque.length)));
}

/** Takes the locks by the functions that are defined here: `code` says where they are called. */
function withOwnLocks(text: string, code: string): string {
  let sent = '';
  let from = 0;
  for (const { index, 0: called, 2: name = '' } of code.matchAll(LOCK)) {
    sent += `${text.slice(from, index)}pg_temp.${name}`;
    from = index + called.length;
  }
  return sent + text.slice(from);
}

/** A name as the server keeps it. */
function folded(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase();
}

function columnOf(result: CommandResult | undefined): unknown[] {
  return (result?.rows ?? []).map((row) => Object.values(row)[0]);
}
