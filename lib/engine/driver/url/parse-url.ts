import { ArgumentError } from '../../errors/errors.js';
import { parsePort, resolveHosts } from './hosts.js';
import { parseQuery, renderQuery, type UrlQuery } from './query.js';

/** The parts of a URL, decoded. Undefined: the URL does not have it. */
export interface UrlParts {
  readonly drivername: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly database: string | undefined;
  readonly query: UrlQuery;
}

const SCHEME = /^([\w+]+):\/\//;
const USER_INFO = /^([^:/?@]*)(?::([^@]*))?@/;
const LOCATION = /^([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s;

/** Reads a URL. Throws {@link ArgumentError}, which never shows the text: it may hold a password. */
export function parseUrl(text: string): UrlParts {
  const scheme = SCHEME.exec(text);
  if (scheme === null) throw unreadable();
  const behindScheme = text.slice(scheme[0].length);
  const user = USER_INFO.exec(behindScheme);
  const [, authority = '', database, query = ''] =
    LOCATION.exec(behindScheme.slice(user?.[0].length ?? 0)) ?? [];
  // Taken as a part of the host, the rest of a password would be shown wherever the URL is.
  if (authority.includes('@')) throw unreadable();
  return {
    drivername: scheme[1] ?? '',
    username: decoded(user?.[1]),
    password: decoded(user?.[2]),
    ...parseAuthority(authority),
    database: decoded(database),
    query: parseQuery(query),
  };
}

/** Writes a URL that {@link parseUrl} reads back. */
export function renderUrl(parts: UrlParts, hidePassword: boolean): string {
  // Read once: it may be asked for anew each time.
  const { password } = parts;
  let text = `${parts.drivername}://`;
  if (parts.username !== undefined) {
    text += quoted(parts.username);
    if (password !== undefined) text += `:${hidePassword ? '***' : quoted(password)}`;
    text += '@';
  }
  text += renderHost(parts.host ?? '');
  if (parts.port !== undefined) text += `:${parts.port}`;
  if (parts.database !== undefined) text += `/${quoted(parts.database).replaceAll('%2F', '/')}`;
  const query = renderQuery(parts.query, hidePassword);
  return query === '' ? text : `${text}?${query}`;
}

function parseAuthority(authority: string): Pick<UrlParts, 'host' | 'port'> {
  if (authority.includes(',')) {
    resolveHosts({ host: authority, port: undefined, query: {} });
    return { host: authority, port: undefined };
  }
  const found = /^(?:\[([^\]]+)\]|([^:]*))(?::(.*))?$/s.exec(authority);
  if (found === null) throw unreadable();
  const host = found[1] ?? found[2] ?? '';
  const port = found[3] === undefined ? undefined : parsePort(found[3]);
  if (host === '') return { host: undefined, port };
  // As libpq writes the folder of a socket; any other host is taken as it is.
  return { host: /^%2f/i.test(host) ? decoded(host) : host, port };
}

function renderHost(host: string): string {
  if (host.startsWith('/')) return encodeURIComponent(host);
  return host.includes(':') && !host.includes(',') ? `[${host}]` : host;
}

/** A `%` that begins no escape stays as it is. */
function decoded<T extends string | undefined>(text: T): string | T {
  return text?.replaceAll(/(?:%[\da-f]{2})+/gi, decodedRun) ?? text;
}

function decodedRun(run: string): string {
  try {
    return decodeURIComponent(run);
  } catch {
    return run;
  }
}

function quoted(text: string): string {
  return encodeURIComponent(text)
    .replaceAll(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', ' ')
    .replaceAll('%2B', '+');
}

function unreadable(): ArgumentError {
  return new ArgumentError(
    'the database URL could not be read (it is not shown, it may hold a password). ' +
      'Write postgresql://user:password@host:5432/database, with @ : / in a user or password as %40 %3A %2F.',
  );
}
