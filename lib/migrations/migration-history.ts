import { MigrationError } from '../engine/index.js';
import { quoteIdentifier } from '../engine/statement/identifier.js';
import { quoteLiteral } from '../engine/statement/literal.js';
import type { MigrationFile } from './migration-files.js';

/** Runs SQL on the session of the migrations. */
export interface MigrationClient {
  query(
    text: string,
    values?: readonly unknown[],
  ): Promise<{ readonly rows: readonly Record<string, unknown>[] }>;
}

interface PastMigration {
  readonly name: string;
  /** Null: it ran before checksums were kept. */
  readonly checksum: string | null;
}

/** What has run on a database, as its two tables tell. */
export class MigrationHistory {
  readonly #client: MigrationClient;
  readonly #table: string;
  readonly #checksums: string;

  constructor(client: MigrationClient, schema: string, table: string) {
    this.#client = client;
    this.#table = `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`;
    this.#checksums = `${quoteIdentifier(schema)}.${quoteIdentifier(`${table}_checksums`)}`;
  }

  /**
   * The files that have not run. Those that have get their checksum where they have none.
   *
   * @throws MigrationError where a file is not what ran, or stands in another place.
   */
  async pendingOf(files: readonly MigrationFile[], dir: string): Promise<readonly MigrationFile[]> {
    const past = await this.#read();
    past.forEach(({ name, checksum }, index) => this.#expectSame(name, checksum, files, index, dir));
    const pending = files.slice(past.length);
    const isKnown = past.every(({ checksum }) => checksum !== null);
    if (isKnown && pending.length === 0) return pending;
    await this.#createChecksums();
    if (!isKnown) await this.#client.query(this.insertOf(files.slice(0, past.length)));
    return pending;
  }

  /** A statement that keeps the checksums of these files. */
  insertOf(files: readonly MigrationFile[]): string {
    const rows = files.map(({ name, checksum }) => `(${quoteLiteral(name)}, ${quoteLiteral(checksum)})`);
    return (
      `INSERT INTO ${this.#checksums} (name, checksum) VALUES ${rows.join(', ')} ` +
      'ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum'
    );
  }

  async #read(): Promise<PastMigration[]> {
    if (!(await this.#has(this.#table))) return [];
    const { rows } = (await this.#has(this.#checksums))
      ? await this.#client.query(
          `SELECT ran.name, kept.checksum FROM ${this.#table} AS ran LEFT JOIN ${this.#checksums} AS kept
             ON kept.name = ran.name ORDER BY ran.run_on, ran.id`,
        )
      : await this.#client.query(`SELECT name, NULL AS checksum FROM ${this.#table} ORDER BY run_on, id`);
    return rows as unknown as PastMigration[];
  }

  async #has(table: string): Promise<boolean> {
    const { rows } = await this.#client.query('SELECT to_regclass($1) IS NOT NULL AS found', [table]);
    return rows[0]?.['found'] === true;
  }

  // IF NOT EXISTS asks for the right to create, even where there is nothing to do.
  async #createChecksums(): Promise<void> {
    if (await this.#has(this.#checksums)) return;
    await this.#client.query(
      `CREATE TABLE ${this.#checksums} (name varchar(255) PRIMARY KEY, checksum text NOT NULL)`,
    );
  }

  #expectSame(
    name: string,
    checksum: string | null,
    files: readonly MigrationFile[],
    index: number,
    dir: string,
  ): void {
    const own = files.find((each) => each.name === name);
    if (own === undefined) {
      throw new MigrationError(
        `the migration '${name}' has run on this database, and ${dir} has no file of this name any more. Put it back as it was.`,
        { file: name },
      );
    }
    if (checksum !== null && checksum !== own.checksum) {
      throw new MigrationError(
        `the migration '${own.file}' was changed after it ran on this database. Put it back as it was and write the change as ` +
          `a new migration. If the change does not matter to the database, delete its row in ${this.#checksums}.`,
        { file: own.file },
      );
    }
    const here = files[index];
    if (here === undefined || here === own) return;
    throw new MigrationError(
      `the migration '${here.file}' stands before '${own.file}', which ran on this database without it. Give it a name behind those that have run.`,
      { file: here.file },
    );
  }
}
