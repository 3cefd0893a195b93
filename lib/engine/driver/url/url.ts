import { expectArgument } from '../../util/argument.js';
import { describeKind } from '../../util/describe-value.js';
import { asItIs, isRecord, recordRule, wordRule, type OptionRule } from '../../util/option-rule.js';
import { ArgumentError, NoSuchDriverError } from '../../errors/errors.js';
import { resolveHosts, type HostAddress } from './hosts.js';
import { mergeQuery, normalizeQuery, parseQuery, queryOf, queryPairs, type UrlQuery } from './query.js';
import { parseUrl, renderUrl, type UrlParts } from './parse-url.js';
import { inspect } from '../../errors/node-modules.js';
import { COPY, THIS_COPY } from '../../errors/copies.js';

export type { HostAddress } from './hosts.js';
export type { UrlQuery } from './query.js';

const listRule = (expected: string): OptionRule => ({
  expected,
  accepts: (value) => typeof value === 'object' && value !== null && Symbol.iterator in value,
  coerce: asItIs,
});
const pairsRule = listRule("a list of pairs, such as [['sslmode', 'require']]");
const namesRule = listRule("a list of names, such as ['sslmode']");

const BACKENDS: Readonly<Record<string, string>> = { postgresql: 'postgresql', postgres: 'postgresql' };
const DRIVERS: readonly string[] = ['pg', 'pglite'];
const DEFAULT_DRIVER = 'pg';

/** A password, or where to get it: called each time the password is read. */
export type UrlPassword = string | (() => string);

/** The fields of a URL, not encoded. `null` is not a value. */
export interface UrlFields {
  readonly drivername: string;
  readonly username?: string | null | undefined;
  readonly password?: UrlPassword | null | undefined;
  readonly host?: string | null | undefined;
  readonly port?: number | string | null | undefined;
  readonly database?: string | null | undefined;
  readonly query?: UrlQuery | null | undefined;
}

/** How values of a query meet those that are there. */
export interface UpdateQueryOptions {
  /** True: values are added to those that a name has. Default false: they replace them. */
  readonly append?: boolean;
}

/**
 * Where the database is, and as whom. Immutable: every change gives a new one.
 *
 * The password is in no enumerable property, and `toString`, `toJSON` and `util.inspect` show `***` in its
 * place. A field that the URL does not have is undefined.
 */
export class DatabaseUrl {
  readonly drivername: string;
  readonly username: string | undefined;
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly database: string | undefined;
  readonly #password: UrlPassword | undefined;
  readonly #query: UrlQuery;

  /** @internal */
  get [COPY](): object {
    return THIS_COPY;
  }

  private constructor(fields: UrlFields) {
    expectFields(fields);
    this.drivername = checkedDrivername(fields.drivername);
    this.username = checkedText('username', fields.username);
    this.#password =
      typeof fields.password === 'function' ? fields.password : checkedText('password', fields.password);
    this.host = checkedHost(fields.host);
    this.port = checkedPort(fields.port);
    this.database = checkedText('database', fields.database);
    this.#query = queryOf(queryPairs(fields.query ?? {}));
    Object.freeze(this);
  }

  /** Makes a URL of its fields. Throws {@link ArgumentError} that names the field that is wrong. */
  static create(fields: UrlFields): DatabaseUrl {
    return new DatabaseUrl(fields);
  }

  /** The password; a function that gives it is called each time. */
  get password(): string | undefined {
    return typeof this.#password === 'function' ? this.#password() : this.#password;
  }

  /** Frozen: name to value, or to a list of values. */
  get query(): UrlQuery {
    return this.#query;
  }

  /** The query with a list of values for every name. */
  get normalizedQuery(): Readonly<Record<string, readonly string[]>> {
    return normalizeQuery(this.#query);
  }

  /**
   * The servers to try, in their order, from the host part (`h1:5432,h2:5433`) or from the `host` and `port`
   * of the query. Empty: the URL names none and the driver's default applies. A host that begins with `/` is
   * the folder of a Unix socket. Throws {@link ArgumentError} for hosts and ports that do not go together.
   */
  get hosts(): readonly HostAddress[] {
    return resolveHosts(this);
  }

  /** `postgresql`. Throws {@link NoSuchDriverError} for another dialect. */
  getBackendName(): string {
    const [dialect = ''] = this.drivername.split('+');
    const backend = Object.hasOwn(BACKENDS, dialect) ? BACKENDS[dialect] : undefined;
    if (backend === undefined) throw noSuchDriver('dialect', dialect, Object.keys(BACKENDS));
    return backend;
  }

  /** `pg` (the default) or `pglite`. Throws {@link NoSuchDriverError} for another driver. */
  getDriverName(): string {
    const plus = this.drivername.indexOf('+');
    const driver = plus === -1 ? DEFAULT_DRIVER : this.drivername.slice(plus + 1);
    if (!DRIVERS.includes(driver)) throw noSuchDriver('driver', driver, DRIVERS);
    return driver;
  }

  /**
   * The same URL with other fields. Undefined keeps a field, `null` removes it; a query replaces the whole
   * query.
   */
  set(fields: Partial<UrlFields>): DatabaseUrl {
    expectFields(fields);
    return new DatabaseUrl({
      drivername: fields.drivername ?? this.drivername,
      username: kept(fields.username, this.username),
      password: kept(fields.password, this.#password),
      host: kept(fields.host, this.host),
      port: kept(fields.port, this.port),
      database: kept(fields.database, this.database),
      query: kept(fields.query, this.#query),
    });
  }

  /** Replaces the values of the names in `query`, or adds to them. */
  updateQueryDict(query: UrlQuery, options: UpdateQueryOptions = {}): DatabaseUrl {
    expectArgument('updateQueryDict()', queryRule, query);
    return this.set({ query: mergeQuery(this.#query, query, options.append ?? false) });
  }

  /** The same with pairs, in which a name may appear several times. */
  updateQueryPairs(
    pairs: Iterable<readonly [string, string]>,
    options: UpdateQueryOptions = {},
  ): DatabaseUrl {
    expectArgument('updateQueryPairs()', pairsRule, pairs);
    return this.updateQueryDict(queryOf(pairs), options);
  }

  /** The same with `name=value&name=value`; names without a value are ignored. */
  updateQueryString(query: string, options: UpdateQueryOptions = {}): DatabaseUrl {
    expectArgument('updateQueryString()', wordRule, query);
    return this.updateQueryDict(parseQuery(query), options);
  }

  /** Removes names from the query; the same object when it has none of them. */
  differenceUpdateQuery(names: Iterable<string>): DatabaseUrl {
    expectArgument('differenceUpdateQuery()', namesRule, names);
    const removed = new Set(names);
    const pairs = queryPairs(this.#query);
    const left = pairs.filter(([name]) => !removed.has(name));
    return left.length === pairs.length ? this : this.set({ query: queryOf(left) });
  }

  /**
   * The URL as text, with `***` for passwords unless `hidePassword` is false. A password without a user is
   * left out.
   */
  renderAsString(options: { readonly hidePassword?: boolean } = {}): string {
    expectArgument('renderAsString()', recordRule, options);
    const { hidePassword = true } = options;
    return renderUrl(this, hidePassword);
  }

  /** Whether all fields are equal, the password included. */
  equals(other: unknown): boolean {
    if (this === other) return true;
    if (!(other instanceof DatabaseUrl) || other.password !== this.password) return false;
    const names = [
      'drivername',
      'username',
      'host',
      'port',
      'database',
    ] as const satisfies readonly (keyof UrlParts)[];
    return (
      names.every((name) => this[name] === other[name]) && canonical(this.#query) === canonical(other.#query)
    );
  }

  /** The URL as text, with `***` for passwords. */
  toString(): string {
    return this.renderAsString();
  }

  /** The same text, so that a logger which serializes the URL shows no password. */
  toJSON(): string {
    return this.renderAsString();
  }

  /** The same text, for `console.log` and `util.inspect`. */
  [inspect.custom](): string {
    return `DatabaseUrl <${this.renderAsString()}>`;
  }
}

/**
 * Reads `dialect+driver://user:pass@host:port/database?key=value`; a {@link DatabaseUrl} comes back as it is.
 *
 * The user ends at the first `:`, the password at the first `@`; both are percent-decoded, as the database
 * is. Several hosts may stand in the host part. Throws {@link ArgumentError}, without showing the text.
 * Whether dialect and driver exist is asked by `getBackendName()` and `getDriverName()`.
 *
 * @example
 * ```ts
 * const url = makeUrl('postgresql://app@db.example.com/shop').set({ password });
 * ```
 */
export function makeUrl(url: string | DatabaseUrl): DatabaseUrl {
  if (url instanceof DatabaseUrl) return url;
  if (typeof url === 'string') return DatabaseUrl.create(parseUrl(url));
  throw new ArgumentError(
    `a database URL must be a string or a DatabaseUrl; got ${describeKind(url)}. Its parts are made one by ` +
      `DatabaseUrl.create({ drivername: 'postgresql', host, username, password, database }).`,
  );
}

const queryRule: OptionRule = {
  expected: 'an object of query parameters',
  accepts: isRecord,
  coerce: asItIs,
};

const FIELDS: readonly string[] = [
  'drivername',
  'username',
  'password',
  'host',
  'port',
  'database',
  'query',
] satisfies readonly (keyof UrlFields)[];

function expectFields(fields: unknown): void {
  if (!isRecord(fields)) {
    throw new ArgumentError(
      `the fields of a URL must be an object, such as { host: 'db' }; got ${describeKind(fields)}.`,
    );
  }
  const unknown = Object.keys(fields).filter((name) => !FIELDS.includes(name));
  if (unknown.length === 0) return;
  throw new ArgumentError(`a URL has no field ${unknown.join(', ')}. It has ${FIELDS.join(', ')}.`);
}

function kept<T>(given: T | null | undefined, present: T | undefined): T | null | undefined {
  return given === undefined ? present : given;
}

/** Independent of the order of names, dependent on the order of the values of one. */
function canonical(query: UrlQuery): string {
  return JSON.stringify(Object.entries(query).toSorted(([left], [right]) => (left < right ? -1 : 1)));
}

function checkedDrivername(name: unknown): string {
  if (typeof name === 'string' && /^[\w+]+$/.test(name)) return name;
  throw new ArgumentError("drivername must be a string such as 'postgresql' or 'postgresql+pg'.");
}

function checkedText(field: string, value: unknown): string | undefined {
  if (value === null || value === undefined) return undefined;
  if (typeof value === 'string') return value;
  throw new ArgumentError(`${field} must be a string, got ${typeof value}.`);
}

function checkedHost(value: unknown): string | undefined {
  const host = checkedText('host', value);
  if (host === undefined || host.startsWith('/') || !/[/?#@\s]/.test(host)) return host;
  throw new ArgumentError(
    'host must be a name, an address, a list of them, or a folder that begins with a slash.',
  );
}

function checkedPort(value: unknown): number | undefined {
  if (value === null || value === undefined) return undefined;
  const port = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  if (typeof port === 'number' && Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new ArgumentError('port must be a whole number from 0 to 65535.');
}

function noSuchDriver(kind: string, name: string, known: readonly string[]): NoSuchDriverError {
  return new NoSuchDriverError(
    `there is no ${kind} '${name}'. Known are: ${known.join(', ')}. Write postgresql:// for a server, ` +
      `postgresql+pglite:// for PGlite.`,
  );
}
