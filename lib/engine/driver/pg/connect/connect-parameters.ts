import type { ClientConfig } from 'pg';
import { ArgumentError } from '../../../errors/errors.js';
import type { DatabaseUrl } from '../../url/url.js';
import { INSTEAD, REFUSED_VARIABLES } from './foreign-parameters.js';

/** What the query of a URL may say, by libpq's names, each with its variable of the environment. */
const PARAMETERS = {
  host: undefined,
  port: undefined,
  user: undefined,
  password: undefined,
  dbname: undefined,
  sslmode: 'PGSSLMODE',
  ssl: undefined,
  sslrootcert: 'PGSSLROOTCERT',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  sslpassword: undefined,
  sslcrl: 'PGSSLCRL',
  sslsni: 'PGSSLSNI',
  sslnegotiation: 'PGSSLNEGOTIATION',
  ssl_min_protocol_version: 'PGSSLMINPROTOCOLVERSION',
  ssl_max_protocol_version: 'PGSSLMAXPROTOCOLVERSION',
  gssencmode: 'PGGSSENCMODE',
  channel_binding: 'PGCHANNELBINDING',
  require_auth: 'PGREQUIREAUTH',
  target_session_attrs: 'PGTARGETSESSIONATTRS',
  load_balance_hosts: 'PGLOADBALANCEHOSTS',
  connect_timeout: 'PGCONNECT_TIMEOUT',
  keepalives: undefined,
  keepalives_idle: undefined,
  application_name: undefined,
  fallback_application_name: undefined,
  client_encoding: undefined,
  options: undefined,
  statement_timeout: undefined,
  lock_timeout: undefined,
  idle_in_transaction_session_timeout: undefined,
  pgbouncer: undefined,
  commitOutcome: undefined,
} as const satisfies Readonly<Record<string, string | undefined>>;

export type ParameterName = keyof typeof PARAMETERS;

const NAMES = Object.keys(PARAMETERS) as ParameterName[];

/** Those that leave with the startup message, as they are. */
const STARTUP = [
  'application_name',
  'fallback_application_name',
  'client_encoding',
  'options',
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
] as const satisfies readonly ParameterName[];

/** The environment as `process.env` has it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What is said about connections beside the options: by the query of the URL, and where that is silent by the
 * environment. A name that is given twice has its last value.
 */
export class ConnectParameters {
  readonly #values: ReadonlyMap<ParameterName, string>;
  readonly #fromUrl: ReadonlySet<ParameterName>;

  /**
   * @throws ArgumentError for all unknown names together, with what to write in their place, and for a
   * parameter that is empty; values are never shown.
   */
  constructor(url: DatabaseUrl, environment: Environment = process.env) {
    const given = urlValues(url);
    this.#fromUrl = new Set(given.keys());
    const defaults = environmentValues(environment);
    // What the URL says of encryption by its other name is said.
    if (given.has('ssl')) defaults.delete('sslmode');
    this.#values = new Map([...defaults, ...given]);
    for (const [name, value] of this.#values) {
      if (value === '')
        throw new ArgumentError(`${this.nameOf(name)} is empty. Give it a value or leave it out.`);
    }
  }

  get(name: ParameterName): string | undefined {
    return this.#values.get(name);
  }

  /** How an error calls it, by where it stands. */
  nameOf(name: ParameterName): string {
    return this.#fromUrl.has(name) ? `the URL's ${name}` : `the environment's ${PARAMETERS[name]}`;
  }

  /** @throws ArgumentError that names the parameter and the words that it may be. */
  oneOf<Word extends string>(name: ParameterName, words: readonly Word[], advice = ''): Word | undefined {
    const value = this.get(name);
    const word = words.find((each) => each === value);
    if (value === undefined || word !== undefined) return word;
    throw new ArgumentError(`${this.nameOf(name)} must be ${listed(words)}.${advice}`);
  }

  /** In milliseconds; libpq counts seconds. Undefined where it is not given. */
  milliseconds(name: ParameterName): number | undefined {
    const text = this.get(name);
    if (text === undefined) return undefined;
    if (/^\d{1,6}$/.test(text)) return 1_000 * Number(text);
    throw new ArgumentError(`${this.nameOf(name)} must be a number of whole seconds.`);
  }

  /**
   * The parameters as the config of a `pg` client, but for encryption, hosts, time limits and password.
   *
   * @throws ArgumentError for a value that its parameter can't have.
   */
  clientConfig(): ClientConfig {
    this.#expectPossible();
    const startup = STARTUP.flatMap((name) => (this.get(name) === undefined ? [] : [[name, this.get(name)]]));
    const sslnegotiation = this.oneOf('sslnegotiation', ['postgres', 'direct']);
    const binding = this.oneOf('channel_binding', ['disable', 'prefer', 'require']);
    const idle = this.milliseconds('keepalives_idle');
    const [user, database] = [this.get('user'), this.get('dbname')];
    return {
      ...(Object.fromEntries(startup) as ClientConfig),
      ...(user !== undefined && { user }),
      ...(database !== undefined && { database }),
      ...(sslnegotiation !== undefined && { sslnegotiation }),
      ...(binding !== undefined && { enableChannelBinding: binding !== 'disable' }),
      ...(this.oneOf('keepalives', ['0', '1']) === '0' && { keepAlive: false }),
      ...(idle !== undefined && { keepAliveInitialDelayMillis: idle }),
    };
  }

  /** What libpq can do and Node or pg can't. */
  #expectPossible(): void {
    if (this.oneOf('gssencmode', ['disable', 'prefer', 'require']) === 'require') {
      throw new ArgumentError(
        `${this.nameOf('gssencmode')} is require, and the driver pg has no GSSAPI encryption. Use sslmode.`,
      );
    }
    if (this.oneOf('sslsni', ['0', '1']) === '0') {
      throw new ArgumentError(
        `${this.nameOf('sslsni')} is 0, and Node.js always sends the name. Leave it out.`,
      );
    }
  }
}

/** The words as a sentence has them: `a, b or c`. */
function listed(words: readonly string[]): string {
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

function urlValues(url: DatabaseUrl): Map<ParameterName, string> {
  const query = Object.entries(url.normalizedQuery);
  const unknown = query.map(([name]) => name).filter((name) => !isKnown(name));
  if (unknown.length > 0) {
    const hints = unknown.flatMap((name) => (INSTEAD.has(name) ? [`${name}: ${INSTEAD.get(name)}.`] : []));
    if (hints.length < unknown.length) hints.push(`Known are: ${NAMES.join(', ')}.`);
    throw new ArgumentError(
      `the URL has unknown parameters: ${unknown.join(', ')}. ${hints.join(' ')} ` +
        "The driver's own options go into connectArgs.",
    );
  }
  return new Map(query.map(([name, values]) => [name as ParameterName, values.at(-1) ?? '']));
}

function environmentValues(environment: Environment): Map<ParameterName, string> {
  for (const [variable, advice] of Object.entries(REFUSED_VARIABLES)) {
    if (environment[variable] === undefined) continue;
    throw new ArgumentError(`the environment has ${variable}, which this driver does not follow. ${advice}`);
  }
  const values = new Map<ParameterName, string>();
  for (const name of NAMES) {
    const variable = PARAMETERS[name];
    const value = variable === undefined ? undefined : environment[variable];
    if (value !== undefined) values.set(name, value);
  }
  return values;
}

function isKnown(name: string): boolean {
  return Object.hasOwn(PARAMETERS, name);
}
