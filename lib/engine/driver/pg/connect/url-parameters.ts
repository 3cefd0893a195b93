import type { ClientConfig } from 'pg';
import { ArgumentError } from '../../../errors/errors.js';
import type { DatabaseUrl } from '../../url/url.js';

/** What the query of a URL may say, by the names that libpq and `pg` have for it. */
const NAMES = [
  'host',
  'port',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'sslpassword',
  'sslnegotiation',
  'channel_binding',
  'target_session_attrs',
  'load_balance_hosts',
  'connect_timeout',
  'keepalives',
  'keepalives_idle',
  'application_name',
  'fallback_application_name',
  'client_encoding',
  'options',
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
] as const;

/** Those that leave with the startup message, as they are. */
const STARTUP = [
  'application_name',
  'fallback_application_name',
  'client_encoding',
  'options',
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
] as const satisfies readonly (typeof NAMES)[number][];

export type UrlParameters = Readonly<Partial<Record<(typeof NAMES)[number], string>>>;

/**
 * The query of a URL, each name with its last value.
 *
 * @throws ArgumentError for all unknown names together; values are never shown.
 */
export function urlParameters(url: DatabaseUrl): UrlParameters {
  const query = url.normalizedQuery;
  const unknown = Object.keys(query).filter((name) => !NAMES.some((known) => known === name));
  if (unknown.length > 0) {
    throw new ArgumentError(
      `the URL has unknown parameters: ${unknown.join(', ')}. Known are: ${NAMES.join(', ')}. ` +
        `Give the driver's own options with connectArgs.`,
    );
  }
  return Object.fromEntries(Object.entries(query).map(([name, values]) => [name, values.at(-1)]));
}

/**
 * What the parameters are in the config of a `pg` client; encryption, hosts and time limits apart.
 *
 * @throws ArgumentError for a value that its parameter does not take.
 */
export function clientConfig(parameters: UrlParameters): ClientConfig {
  const startup = STARTUP.flatMap((name) =>
    parameters[name] === undefined ? [] : [[name, parameters[name]]],
  );
  const { sslnegotiation, channel_binding, keepalives, keepalives_idle } = parameters;
  expectOneOf('sslnegotiation', sslnegotiation, ['postgres', 'direct']);
  expectOneOf('channel_binding', channel_binding, ['disable', 'prefer', 'require']);
  expectOneOf('keepalives', keepalives, ['0', '1']);
  return {
    ...(Object.fromEntries(startup) as ClientConfig),
    ...(sslnegotiation !== undefined && { sslnegotiation: sslnegotiation as 'postgres' | 'direct' }),
    ...(channel_binding !== undefined && { enableChannelBinding: channel_binding !== 'disable' }),
    ...(keepalives === '0' && { keepAlive: false }),
    ...(keepalives_idle !== undefined && {
      keepAliveInitialDelayMillis: 1_000 * seconds('keepalives_idle', keepalives_idle),
    }),
  };
}

/**
 * Milliseconds; undefined: the URL does not say. libpq counts `connect_timeout` in seconds, and 0 is no
 * limit.
 */
export function connectTimeoutOf({ connect_timeout: given }: UrlParameters): number | undefined {
  return given === undefined ? undefined : 1_000 * seconds('connect_timeout', given);
}

function seconds(name: string, text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new ArgumentError(`the URL's ${name} is '${text}': it takes whole seconds.`);
}

/** @throws ArgumentError that names the parameter, what it got and what it takes. */
export function expectOneOf(name: string, text: string | undefined, words: readonly string[]): void {
  if (text === undefined || words.includes(text)) return;
  throw new ArgumentError(`the URL's ${name} is '${text}': it takes ${words.join(', ')}.`);
}
