import { AsyncLocalStorage } from 'node:async_hooks';
import pg from 'pg';
import { ArgumentError, DBAPIError, IllegalStateError, InterfaceError } from '../../../errors/errors.js';
import { ConnectError, OperationalError } from '../../../errors/server-errors.js';
import type { ConnectAttempt, Driver, DriverConnection, DriverFacts } from '../../driver.js';
import { resolveHosts } from '../../url/hosts.js';
import type { DatabaseUrl } from '../../url/url.js';
import { creatorError } from '../session/pg-error.js';
import { askedPassword } from './asked-password.js';
import { ConnectParameters } from './connect-parameters.js';
import { ConnectDeadline } from './connect-deadline.js';
import { HostMemory } from './host-memory.js';
import { LoginRules } from './login-guard.js';
import { CONNECT_TIMEOUT, openSession, type SessionOptions } from './open-session.js';
import { isOfKind, SessionTarget, type Candidate, type SessionKind } from './session-target.js';
import { expectStartupValues } from './startup-values.js';
import { sealed, TlsRules, type TlsAttempt } from './tls.js';

export interface PgDriverOptions extends SessionOptions {
  readonly password?: string | (() => Promise<string>) | undefined;
  /** Milliseconds in which a host that did not answer or refused a write is tried last. Default 30,000. */
  readonly deadHostMemory?: number | undefined;
  /** Settings that leave with the startup message: those that every pooler knows. */
  readonly startupSettings?: Readonly<Record<string, string>> | undefined;
  /** The driver's own options; they win over the URL. */
  readonly connectArgs?: Readonly<Record<string, unknown>> | undefined;
  /** Gives a connected client; then nothing else says where the server is. */
  readonly asyncCreator?: (() => Promise<unknown>) | undefined;
}

/** Options of `pg`'s client. */
type ClientOptions = Readonly<Record<string, unknown>>;
/** Who can give a client in place of a new one. */
type ClientSource = 'asyncCreator' | 'doConnect';

const KEEP_ALIVE_DELAY = 10_000;
const DEAD_HOST_MEMORY = 30_000;

/** Opens sessions on a PostgreSQL server, or on one of several, over the client of `pg`. */
export class PgDriver implements Driver {
  readonly facts: DriverFacts;
  readonly #url: DatabaseUrl;
  readonly #options: PgDriverOptions;
  readonly #connectTimeout: number;
  readonly #hosts: readonly Candidate[];
  readonly #config: pg.ClientConfig;
  readonly #password: string | undefined;
  readonly #tls: TlsRules;
  readonly #target: SessionTarget;
  readonly #login: LoginRules;
  readonly #memory: HostMemory;
  readonly #wantsWrites: boolean;
  /** What runs now in the creator: `open` until that has given its client. */
  readonly #creation = new AsyncLocalStorage<{ state: 'open' | 'ended' }>();

  /** @throws ArgumentError for what the URL or the environment says wrongly: no attempt could mend it. */
  constructor(url: DatabaseUrl, options: PgDriverOptions) {
    const parameters = new ConnectParameters(url);
    this.#url = url;
    const timeout = parameters.milliseconds('connect_timeout');
    this.#connectTimeout = options.connectTimeout ?? timeout ?? CONNECT_TIMEOUT;
    this.#hosts = hostsOf(url);
    this.#config = {
      user: url.username,
      database: url.database,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY,
      ...parameters.clientConfig(),
    };
    this.#password = parameters.get('password');
    const password = this.#password ?? url.password;
    expectStartupValues({ ...this.#config, password, ...options.connectArgs });
    this.#tls = new TlsRules(parameters);
    this.#target = new SessionTarget(parameters);
    this.#options = options;
    this.facts = { name: 'pg', maxConnections: Number.POSITIVE_INFINITY, role: options.role };
    this.#wantsWrites =
      options.role !== 'replica' && this.#target.isForWrites && !isReadOnlyByDefault(options, parameters);
    this.#login = new LoginRules(parameters);
    this.#memory = new HostMemory(options.deadHostMemory ?? DEAD_HOST_MEMORY);
    if (options.asyncCreator !== undefined) expectOneSource('asyncCreator', options.startupSettings);
  }

  refusal(): Error | undefined {
    if (this.#creation.getStore()?.state !== 'open') return undefined;
    return new IllegalStateError(
      'asyncCreator waits for a connection of the pool that it is to fill. Return new pg.Client(…) after you have awaited ' +
        'its connect().',
    );
  }

  async connect({ connectArgs, client }: ConnectAttempt = {}): Promise<DriverConnection> {
    const deadline = ConnectDeadline.in(this.#connectTimeout);
    const created = client === undefined ? await this.#create(deadline) : expectClient(client, 'doConnect');
    if (created !== undefined) {
      if (client !== undefined) expectOneSource('doConnect', this.#options.startupSettings);
      return await openSession(created, this.#optionsOn(), deadline, { traits: { isConnected: true } });
    }
    expectStartupValues(connectArgs);
    const given = { ...this.#options.connectArgs, ...connectArgs };
    const failures: Error[] = [];
    const hosts = this.#memory.inOrder(this.#target.order(this.#hosts));
    let left = this.#target.passes.length * hosts.length;
    for (const kind of this.#target.passes) {
      for (const host of hosts) {
        const found = await this.#try({ host, kind, given }, deadline.share(left));
        if (!(found instanceof Error)) return found;
        failures.push(found);
        left -= 1;
      }
    }
    throw joined(failures);
  }

  /** A session of the kind, or why the next host may be tried; throws where it may not. */
  async #try(
    { host, kind, given }: { host: Candidate; kind: SessionKind; given: ClientOptions },
    deadline: ConnectDeadline,
  ): Promise<DriverConnection | Error> {
    try {
      const connection = await this.#connectTo(host, given, deadline);
      this.#memory.noteAnswer(host);
      if (await this.#isWanted(connection, kind, deadline)) return connection;
      await connection.close();
      return unsuitable(host, kind);
    } catch (error) {
      // As with libpq, a server that answered has decided: no other host is asked.
      if (!(error instanceof DBAPIError) || !isPassing(error)) throw error;
      if (deadline.isOver || isSilence(error.cause)) this.#memory.noteSilent(host);
      return error;
    }
  }

  /** Tries one server in the ways that `sslmode` allows. */
  async #connectTo(
    host: Candidate,
    given: ClientOptions,
    deadline: ConnectDeadline,
  ): Promise<DriverConnection> {
    const wanted = given['ssl'] as TlsAttempt | true | undefined;
    const attempts = wanted === undefined ? await this.#tls.attempts(host.host) : [wanted];
    for (const [index, ssl] of attempts.entries()) {
      try {
        return await this.#open(host, { ...given, ssl }, deadline);
      } catch (error) {
        if (index === attempts.length - 1 || !isWorthOtherTls(error, ssl)) throw error;
      }
    }
    throw new OperationalError('no way to connect was left to try. Name a host in the URL.');
  }

  async #isWanted(
    connection: DriverConnection,
    kind: SessionKind,
    deadline: ConnectDeadline,
  ): Promise<boolean> {
    try {
      return await isOfKind(connection, kind, deadline.left);
    } catch (error) {
      connection.terminate();
      throw error;
    }
  }

  async #open(
    address: Candidate,
    given: ClientOptions & { readonly ssl: TlsAttempt | true },
    deadline: ConnectDeadline,
  ): Promise<DriverConnection> {
    const { password, startupSettings } = this.#options;
    const { ssl } = given;
    const client = new pg.Client({
      ...address,
      connectionTimeoutMillis: deadline.left ?? 0,
      ...this.#config,
      ...given,
      password: askedPassword(
        given['password'] ?? password ?? this.#password ?? this.#url.password,
      ) as string,
      ssl: typeof ssl === 'object' ? sealed(ssl) : ssl,
    });
    if (startupSettings !== undefined) addToStartup(client, startupSettings);
    this.#login.guard(client);
    return await openSession(client, this.#optionsOn(address), deadline);
  }

  /** Those of a session; without a host where others have connected it. */
  #optionsOn(host?: Candidate): SessionOptions {
    if (!this.#wantsWrites) return this.#options;
    const onRefusedWrite = (): void => {
      if (host !== undefined) this.#memory.noteRefusedWrite(host);
    };
    return { ...this.#options, onRefusedWrite };
  }

  /** The client of `asyncCreator`, which has to come in time; undefined without one. */
  async #create(deadline: ConnectDeadline): Promise<pg.Client | undefined> {
    const { asyncCreator } = this.#options;
    if (asyncCreator === undefined) return undefined;
    const creation: { state: 'open' | 'ended' } = { state: 'open' };
    let client: unknown;
    try {
      const creating = this.#creation.run(creation, async () => await asyncCreator());
      client = await deadline.wait(creating, () => creatorLate(this.#connectTimeout), endLate);
    } catch (error) {
      throw creatorError(error);
    } finally {
      creation.state = 'ended';
    }
    return expectClient(client, 'asyncCreator');
  }
}

function creatorLate(timeout: number): ConnectError {
  return new ConnectError(
    `asyncCreator gave no client within ${timeout} ms (connectTimeout). Give what it waits for a limit of its own.`,
  );
}

/** A client that comes when its caller has left. */
function endLate(client: unknown): void {
  if (!isConnectedClient(client)) return;
  if (isPooled(client)) client.release();
  else client.end().catch(() => undefined);
}

/** What `source` has given in place of a new client. */
function expectClient(client: unknown, source: ClientSource): pg.Client {
  const subject = source === 'asyncCreator' ? source : `a listener of '${source}'`;
  if (!isConnectedClient(client)) {
    throw new InterfaceError(
      `${subject} did not return a connected client of pg. Return new pg.Client(…) after awaiting its connect().`,
    );
  }
  if (isPooled(client)) {
    client.release();
    throw new ArgumentError(
      `${subject} gave a client of a pg.Pool, which has it back now. The engine has a pool of its own: return ` +
        'new pg.Client(…) after you have awaited its connect().',
    );
  }
  return client;
}

function isReadOnlyByDefault({ settings }: PgDriverOptions, parameters: ConnectParameters): boolean {
  const name = 'default_transaction_read_only';
  return name in settings || parameters.get('options')?.includes(name) === true;
}

function expectOneSource(source: ClientSource, startupSettings: PgDriverOptions['startupSettings']): void {
  const [name] = Object.keys(startupSettings ?? {});
  if (name === undefined) return;
  throw new ArgumentError(
    `${name} is sent when a session starts, and ${source} starts it. Give it to the client that is made there.`,
  );
}

/** Those of the URL; else of PGHOST and PGPORT, which may be lists, as with libpq. */
function hostsOf(url: DatabaseUrl): readonly Candidate[] {
  const { hosts } = url;
  if (hosts.some(({ port }) => port === 0))
    throw new ArgumentError('the database URL has the port 0, at which no server listens. Give its port.');
  if (hosts.length > 0) return hosts;
  const { PGHOST: host, PGPORT: port } = process.env;
  const found =
    host === undefined || host === ''
      ? []
      : resolveHosts({ host: undefined, port: undefined, query: { host, ...(port ? { port } : {}) } });
  return found.length > 0 ? found : [{}];
}

/** pg sends what it knows itself, and takes no others. */
function addToStartup(client: pg.Client, settings: Readonly<Record<string, string>>): void {
  const starter = client as pg.Client & { getStartupConf(): Record<string, unknown> };
  const getStartupConf = starter.getStartupConf.bind(starter);
  starter.getStartupConf = () => ({ ...getStartupConf(), ...settings });
}

/** Two pools can't own one client: neither would know when it is free. */
function isPooled(client: pg.Client): client is pg.PoolClient & pg.Client {
  return 'release' in client && typeof client.release === 'function';
}

/** The server has told a connected client its process id. */
function isConnectedClient(client: unknown): client is pg.Client {
  if (typeof client !== 'object' || client === null || !('processID' in client)) return false;
  return typeof client.processID === 'number' && 'connection' in client && 'query' in client;
}

function unsuitable({ host = 'the default host', port = 5432 }: Candidate, kind: SessionKind): ConnectError {
  return new ConnectError(`the server at ${host}:${port} is not what target_session_attrs=${kind} asks for`);
}

/** The server could not be reached, or is starting or ending (57P03): the next host may be usable. */
function isPassing(error: DBAPIError): boolean {
  return error.sqlState === undefined || error.sqlState === '57P03';
}

/**
 * libpq's rule: the other way is tried where the server, or the handshake, refused this one, never for a
 * silent host.
 */
function isWorthOtherTls(error: unknown, ssl: TlsAttempt | true): boolean {
  // What we refused ourselves would be no better in clear text.
  if (!(error instanceof DBAPIError) || error.cause instanceof DBAPIError) return false;
  if (error.sqlState !== undefined) return error.sqlState === '28000';
  return ssl !== false && !isUnreachable(error.cause);
}

const SILENCE: readonly string[] = ['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'EAI_AGAIN'];

/** It takes long to learn that such a host does not answer. */
function isSilence(cause: unknown): boolean {
  if (cause instanceof AggregateError) return cause.errors.some(isSilence);
  const { code, message } = (cause ?? {}) as Partial<NodeJS.ErrnoException>;
  return message === 'timeout expired' || SILENCE.includes(code ?? '');
}

function isUnreachable(cause: unknown): boolean {
  if (cause instanceof AggregateError) return cause.errors.every(isUnreachable);
  const { syscall, message } = (cause ?? {}) as Partial<NodeJS.ErrnoException>;
  return syscall === 'connect' || syscall === 'getaddrinfo' || message === 'timeout expired';
}

/** One failure as it is; several as libpq shows them, each host with its own. */
function joined(failures: readonly Error[]): Error {
  const [first] = failures;
  if (first !== undefined && failures.length === 1) return first;
  return new ConnectError(
    `none of the hosts in the URL could be used. ${failures.map(({ message }) => message).join('; ')}`,
    { cause: failures.at(-1) },
  );
}
