import type { DriverConnection } from '../../engine/index.js';

const NAME = String.raw`("(?:[^"]|"")+"|[^\s("]+)`;
const MADE = new RegExp(
  String.raw`\bTABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:pg_temp\s*\.\s*)?${NAME}[^;]*?\bON\s+COMMIT\s+(DROP|DELETE)\b`,
  'gi',
);

/** The temporary tables that a COMMIT drops or empties. By their oids: a name may be given to another one. */
export class TemporaryTables {
  readonly #session: DriverConnection;
  /** Emptied by each COMMIT of the session. */
  readonly #emptied: Set<string>;
  readonly #dropped = new Set<string>();

  constructor(session: DriverConnection, emptied: Set<string>) {
    this.#session = session;
    this.#emptied = emptied;
  }

  /** Learns which tables of `codes`, texts without literals, `work` has made. */
  async follow<T>(codes: readonly string[], work: () => Promise<T>): Promise<T> {
    const named = codes.flatMap((code) => [...code.matchAll(MADE)]);
    if (named.length === 0) return await work();
    const names = named.map(([, name = '']) => `pg_temp.${name}`);
    const before = await this.#oidsOf(names);
    const result = await work();
    const after = await this.#oidsOf(names);
    named.forEach(([, , action = ''], index) => {
      const oid = after[index];
      if (typeof oid !== 'string' || oid === before[index]) return;
      (action.toUpperCase() === 'DROP' ? this.#dropped : this.#emptied).add(oid);
    });
    return result;
  }

  async #oidsOf(names: readonly string[]): Promise<readonly unknown[]> {
    const columns = names.map((_, index) => `to_regclass($${index + 1})::oid::text AS t${index}`);
    const text = `SELECT ${columns.join(', ')}`;
    const { rows } = await this.#session.execute([], { text, values: names, prepare: false });
    return Object.values(rows[0] ?? {});
  }

  /** What a COMMIT does with them. */
  get endings(): readonly string[] {
    return [ending(this.#dropped, 'DROP TABLE %s CASCADE'), ending(this.#emptied, 'DELETE FROM %s')].flat();
  }
}

function ending(oids: ReadonlySet<string>, action: string): string[] {
  if (oids.size === 0) return [];
  const isThere = 'EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = t)';
  return [
    `DO $nae$ DECLARE t regclass; BEGIN
      FOREACH t IN ARRAY ARRAY[${[...oids].join(', ')}]::regclass[] LOOP
        IF ${isThere} THEN EXECUTE format('${action}', t); END IF;
      END LOOP;
    END $nae$`,
  ];
}
