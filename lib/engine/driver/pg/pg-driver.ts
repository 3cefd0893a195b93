import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';
import type { ResolvedTypes } from '../../types.js';
import type { DatabaseUrl } from '../../url.js';
import { ArgumentError, InterfaceError } from '../../errors.js';
import type { Driver, DriverConnection, DriverFacts } from '../driver.js';
import { PgConnection } from './pg-connection.js';
import { connectError, creatorError } from './pg-error.js';
import { PreparedStatements } from './prepared-statements.js';

export interface PgDriverOptions {
  readonly connectTimeout: number;
  /** Named statements per session; 0: none. */
  readonly preparedStatementCacheSize: number;
  readonly types: ResolvedTypes;
  /** `set_config` of each, once a session is open: poolers refuse startup parameters. */
  readonly settings: Readonly<Record<string, string>>;
  readonly password?: string | (() => Promise<string>) | undefined;
  /** The driver's own options; they win over the URL. */
  readonly connectArgs?: Readonly<Record<string, unknown>> | undefined;
  /** Gives a connected client; then nothing else says where the server is. */
  readonly asyncCreator?: (() => Promise<unknown>) | undefined;
}

const KEEP_ALIVE_DELAY = 10_000;

export class PgDriver implements Driver {
  readonly facts: DriverFacts = { name: 'pg', maxConnections: Number.POSITIVE_INFINITY };
  readonly #url: DatabaseUrl;
  readonly #options: PgDriverOptions;

  constructor(url: DatabaseUrl, options: PgDriverOptions) {
    this.#url = url;
    this.#options = options;
    sslOf(url);
  }

  async connect(): Promise<DriverConnection> {
    const { asyncCreator } = this.#options;
    if (asyncCreator !== undefined) return await this.#settle(await this.#create(asyncCreator));
    let failure: unknown;
    for (const host of this.#url.hosts.length === 0
      ? [{ host: undefined, port: undefined }]
      : this.#url.hosts) {
      for (const ssl of sslOf(this.#url)) {
        try {
          return await this.#open(host.host, host.port, ssl);
        } catch (error) {
          failure = error;
        }
      }
    }
    throw failure;
  }

  async #open(
    host: string | undefined,
    port: number | undefined,
    ssl: boolean | ConnectionOptions,
  ): Promise<DriverConnection> {
    const { connectTimeout, connectArgs, preparedStatementCacheSize, types, password } = this.#options;
    const client = new pg.Client({
      host,
      port,
      user: this.#url.username,
      password: password ?? this.#url.password,
      database: this.#url.database,
      ssl,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY,
      connectionTimeoutMillis: connectTimeout,
      ...connectArgs,
    });
    const connection = new PgConnection(client, {
      prepared: new PreparedStatements(preparedStatementCacheSize),
      types,
    });
    try {
      await client.connect();
    } catch (cause) {
      connection.terminate();
      throw connectError(cause, `${client.host}:${client.port}`);
    }
    return await this.#settle(connection);
  }

  async #create(asyncCreator: () => Promise<unknown>): Promise<PgConnection> {
    let client: unknown;
    try {
      client = await asyncCreator();
    } catch (error) {
      throw creatorError(error);
    }
    if (!isConnectedClient(client)) {
      throw new InterfaceError(
        'asyncCreator gave no connected client of pg. Return new pg.Client(…) after you have awaited its connect().',
      );
    }
    const { preparedStatementCacheSize, types } = this.#options;
    return new PgConnection(
      client,
      { prepared: new PreparedStatements(preparedStatementCacheSize), types },
      true,
    );
  }

  async #settle(connection: PgConnection): Promise<DriverConnection> {
    try {
      await this.#applySettings(connection);
      return connection;
    } catch (error) {
      connection.terminate();
      throw error;
    }
  }

  async #applySettings(connection: DriverConnection): Promise<void> {
    const entries = Object.entries(this.#options.settings);
    if (entries.length === 0) return;
    const calls = entries.map((_, index) => `set_config($${2 * index + 1}, $${2 * index + 2}, FALSE)`);
    await connection.execute(
      [],
      { text: `SELECT ${calls.join(', ')}`, values: entries.flat(), prepare: false },
      // 0 is no deadline, as it is for pg.
      { timeout: this.#options.connectTimeout || undefined },
    );
  }
}

/** The server has told a connected client its process id. */
function isConnectedClient(client: unknown): client is pg.Client {
  if (typeof client !== 'object' || client === null || !('processID' in client)) return false;
  return typeof client.processID === 'number' && 'connection' in client && 'query' in client;
}

const UNVERIFIED: ConnectionOptions = { rejectUnauthorized: false };
const VERIFIED_AUTHORITY: ConnectionOptions = { checkServerIdentity: () => undefined };

/** The attempts that libpq's `sslmode` asks for, in order. */
function sslOf(url: DatabaseUrl): readonly (boolean | ConnectionOptions)[] {
  const mode = url.normalizedQuery['sslmode']?.[0] ?? 'disable';
  switch (mode) {
    case 'disable':
      return [false];
    case 'allow':
      return [false, UNVERIFIED];
    case 'prefer':
      return [UNVERIFIED, false];
    case 'require':
      return [UNVERIFIED];
    case 'verify-ca':
      return [VERIFIED_AUTHORITY];
    case 'verify-full':
      return [true];
    default:
      throw new ArgumentError(
        `the URL's sslmode is '${mode}': it takes disable, allow, prefer, require, verify-ca or verify-full.`,
      );
  }
}
