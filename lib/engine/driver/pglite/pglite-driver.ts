import pg from 'pg';
import { ArgumentError } from '../../errors/errors.js';
import { Mutex } from '../../util/mutex.js';
import type { DatabaseUrl } from '../url/url.js';
import type { ConnectAttempt, Driver, DriverConnection, DriverFacts } from '../driver.js';
import { ConnectDeadline } from '../pg/connect/connect-deadline.js';
import { CONNECT_TIMEOUT, openSession, type SessionOptions } from '../pg/connect/open-session.js';
import { endsTransaction } from '../transaction-ends.js';
import { PgliteDatabase } from './pglite-database.js';
import { PgliteStream } from './pglite-stream.js';

export interface PgliteDriverOptions extends SessionOptions {
  /** PGlite's own options: `extensions`, `relaxedDurability`, `loadDataDir` … */
  readonly connectArgs?: Readonly<Record<string, unknown>> | undefined;
  /** Refused, as a client of one's own is: there is no login. */
  readonly password?: unknown;
  readonly asyncCreator?: unknown;
}

/**
 * PostgreSQL in this process: `pg`'s protocol over a stream into a PGlite instance, so that statements,
 * portals, errors and values are those of the driver `pg`. One instance is one session: who connects waits
 * until the one before is over. The instance lives from the first connection to `close()`, whatever becomes
 * of its sessions.
 */
export class PgliteDriver implements Driver {
  readonly facts: DriverFacts = {
    name: 'pglite',
    maxConnections: 1,
    ignoredSettings: ['statement_timeout', 'idle_in_transaction_session_timeout'],
  };
  readonly #database: PgliteDatabase;
  readonly #options: PgliteDriverOptions;
  readonly #turns = new Mutex();
  #closing: Promise<void> | undefined;

  /** @throws ArgumentError for a URL that names a server, or a setting that would have no effect. */
  constructor(url: DatabaseUrl, options: PgliteDriverOptions, database = databaseOf(url, options)) {
    expectNoServer(url, options);
    this.#options = options;
    this.#database = database;
  }

  async connect({ connectArgs = {}, client }: ConnectAttempt = {}): Promise<DriverConnection> {
    if (client !== undefined || Object.keys(connectArgs).length > 0) throw notChangeable();
    await this.#turns.acquire();
    let stream: PgliteStream | undefined;
    try {
      const instance = await this.#database.open();
      stream = new PgliteStream(instance, { onLoss: (cause) => this.#database.lose(cause) });
      stream.once('close', () => this.#turns.release());
      const deadline = ConnectDeadline.in(this.#connectTimeout);
      const session = await openSession(this.#clientOver(stream), this.#options, deadline, {
        traits: { driverConnection: instance, takesCancel: false },
        where: this.#database.place,
      });
      this.#database.onForeign = (text, status) => {
        session.changes.noteClientUse();
        if (status === 'idle' || endsTransaction(text)) session.transactionEnds += 1;
        session.status = status;
      };
      return session;
    } catch (error) {
      // What holds the turn is the stream, once there is one.
      if (stream === undefined) this.#turns.release();
      else stream.destroy();
      throw error;
    }
  }

  /**
   * Ends the instance: at once where no session is open, else when that session ends, which is not waited
   * for.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#turns.tryAcquire()) return await this.#database.close();
    void this.#turns.acquire().then(() => this.#database.close());
  }

  get #connectTimeout(): number {
    return this.#options.connectTimeout ?? CONNECT_TIMEOUT;
  }

  #clientOver(stream: PgliteStream): pg.Client {
    const { username, database } = this.#options.connectArgs ?? {};
    return new pg.Client({
      // Without these pg would take those of the environment.
      user: typeof username === 'string' ? username : 'postgres',
      database: typeof database === 'string' ? database : 'postgres',
      host: 'pglite',
      ssl: false,
      connectionTimeoutMillis: this.#connectTimeout,
      stream: () => stream,
    });
  }
}

function notChangeable(): ArgumentError {
  return new ArgumentError(
    "a listener of 'doConnect' can't change how PGlite connects: the database is in this process. Use the option connectArgs.",
  );
}

function databaseOf(url: DatabaseUrl, { connectArgs = {} }: PgliteDriverOptions): PgliteDatabase {
  if ('dataDir' in connectArgs) {
    throw new ArgumentError(
      "connectArgs.dataDir: the data folder is the URL's, as in postgresql+pglite:///folder.",
    );
  }
  return new PgliteDatabase(url.database === '' ? undefined : url.database, connectArgs);
}

function expectNoServer(url: DatabaseUrl, { password, asyncCreator }: PgliteDriverOptions): void {
  const named = [
    url.host === undefined ? undefined : 'a host',
    url.port === undefined ? undefined : 'a port',
    url.username === undefined ? undefined : 'a user',
    password === undefined ? undefined : 'a password',
    asyncCreator === undefined ? undefined : 'an asyncCreator',
    ...Object.keys(url.query).map((name) => `'${name}'`),
  ].filter((part) => part !== undefined);
  if (named.length === 0) return;
  throw new ArgumentError(
    `a PGlite database was given ${named.join(', ')}: it is in this process, without a server, a login or TLS. ` +
      `Write postgresql+pglite:// (in memory), postgresql+pglite:///folder or postgresql+pglite:////absolute/folder.`,
  );
}
