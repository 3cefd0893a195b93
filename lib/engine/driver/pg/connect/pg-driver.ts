import pg from 'pg';
import type { DatabaseUrl } from '../../url/url.js';
import { DBAPIError, InterfaceError, OperationalError } from '../../../errors/errors.js';
import type { Driver, DriverConnection, DriverFacts } from '../../driver.js';
import { requireChannelBinding } from './channel-binding.js';
import { CONNECT_TIMEOUT, openSession } from './open-session.js';
import type { SessionOptions } from './open-session.js';
import { creatorError } from '../session/pg-error.js';
import { isOfKind, SessionTarget } from './session-target.js';
import type { Candidate, SessionKind } from './session-target.js';
import { TlsRules } from './tls.js';
import type { TlsAttempt } from './tls.js';
import { clientConfig, connectTimeoutOf, urlParameters } from './url-parameters.js';
import type { UrlParameters } from './url-parameters.js';

export interface PgDriverOptions extends SessionOptions {
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
  readonly #session: SessionOptions;
  readonly #parameters: UrlParameters;
  readonly #urlConfig: pg.ClientConfig;
  readonly #tls: TlsRules;
  readonly #target: SessionTarget;

  /** @throws ArgumentError for what the URL's query says wrongly. */
  constructor(url: DatabaseUrl, options: PgDriverOptions) {
    const parameters = urlParameters(url);
    this.#url = url;
    this.#parameters = parameters;
    this.#options = options;
    const connectTimeout = options.connectTimeout ?? connectTimeoutOf(parameters) ?? CONNECT_TIMEOUT;
    this.#session = { ...options, connectTimeout };
    this.#urlConfig = clientConfig(parameters);
    this.#tls = new TlsRules(parameters);
    this.#target = new SessionTarget(parameters);
  }

  async connect(): Promise<DriverConnection> {
    const { asyncCreator } = this.#options;
    if (asyncCreator !== undefined)
      return await openSession(await this.#create(asyncCreator), this.#session, { isConnected: true });
    const failures: Error[] = [];
    const hosts = this.#target.order(this.#url.hosts);
    for (const kind of this.#target.passes) {
      for (const host of hosts) {
        try {
          const connection = await this.#connectTo(host);
          if (await this.#isWanted(connection, kind)) return connection;
          await connection.close();
          failures.push(unsuitable(host, kind));
        } catch (error) {
          // As with libpq, a server that answered has decided: another one is not asked to think better of
          // it.
          if (!(error instanceof DBAPIError) || !isPassing(error)) throw error;
          failures.push(error);
        }
      }
    }
    throw joined(failures);
  }

  /** Tries one server in the ways that `sslmode` allows. */
  async #connectTo(host: Candidate): Promise<DriverConnection> {
    const given = this.#options.connectArgs?.['ssl'] as TlsAttempt | undefined;
    const attempts = given === undefined ? await this.#tls.attempts(host.host) : [given];
    for (const [index, ssl] of attempts.entries()) {
      try {
        return await this.#open(host, ssl);
      } catch (error) {
        if (index === attempts.length - 1 || !isWorthOtherTls(error, ssl)) throw error;
      }
    }
    throw new OperationalError('no way to connect was left to try. Name a host in the URL.');
  }

  async #isWanted(connection: DriverConnection, kind: SessionKind): Promise<boolean> {
    try {
      return await isOfKind(connection, kind, this.#session.connectTimeout || undefined);
    } catch (error) {
      connection.terminate();
      throw error;
    }
  }

  async #open({ host, port }: Candidate, ssl: TlsAttempt): Promise<DriverConnection> {
    const { connectArgs, password } = this.#options;
    const client = new pg.Client({
      host,
      port,
      user: this.#url.username,
      password: password ?? this.#url.password,
      database: this.#url.database,
      ssl,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY,
      connectionTimeoutMillis: this.#session.connectTimeout,
      ...this.#urlConfig,
      ...connectArgs,
    });
    if (this.#parameters.channel_binding === 'require') requireChannelBinding(client);
    return await openSession(client, this.#session);
  }

  async #create(asyncCreator: () => Promise<unknown>): Promise<pg.Client> {
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
    return client;
  }
}

/** The server has told a connected client its process id. */
function isConnectedClient(client: unknown): client is pg.Client {
  if (typeof client !== 'object' || client === null || !('processID' in client)) return false;
  return typeof client.processID === 'number' && 'connection' in client && 'query' in client;
}

function unsuitable(
  { host = 'the default host', port = 5432 }: Candidate,
  kind: SessionKind,
): OperationalError {
  return new OperationalError(
    `the server at ${host}:${port} is not what target_session_attrs=${kind} asks for`,
  );
}

/** The server could not be reached, or is starting or ending (57P03): the next may do. */
function isPassing(error: DBAPIError): boolean {
  return error.sqlState === undefined || error.sqlState === '57P03';
}

/**
 * libpq's rule: the other way is tried where the server, or the handshake, refused this one, never for a
 * silent host.
 */
function isWorthOtherTls(error: unknown, ssl: TlsAttempt): boolean {
  if (!(error instanceof DBAPIError)) return false;
  if (error.sqlState !== undefined) return error.sqlState === '28000';
  return ssl !== false && !isUnreachable(error.cause);
}

function isUnreachable(cause: unknown): boolean {
  if (cause instanceof AggregateError) return cause.errors.every(isUnreachable);
  const { syscall, message } = cause as NodeJS.ErrnoException;
  return syscall === 'connect' || syscall === 'getaddrinfo' || message === 'timeout expired';
}

/** One failure as it is; several as libpq shows them, each host with its own. */
function joined(failures: readonly Error[]): Error {
  const [first] = failures;
  if (first !== undefined && failures.length === 1) return first;
  return new OperationalError(
    `none of the hosts in the URL could be used. ${failures.map(({ message }) => message).join('; ')}`,
    { cause: failures.at(-1) },
  );
}
