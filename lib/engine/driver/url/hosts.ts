import { ArgumentError } from '../../errors/errors.js';
import { network } from '../../errors/node-modules.js';
import type { UrlQuery } from './query.js';

/** One server to try. Without a port it is the driver's default, 5432. */
export interface HostAddress {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port?: number;
}

interface HostSource {
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly query: UrlQuery;
}

/**
 * The servers that a URL names, in their order; empty when it names none.
 *
 * A `host` in the query wins over the URL's own. Throws {@link ArgumentError} for ports that are no numbers,
 * that do not pair with the hosts, or that are given twice.
 */
export function resolveHosts(source: HostSource): readonly HostAddress[] {
  const queried = [source.query['host'] ?? []].flat();
  const ports = [source.query['port'] ?? []].flat().flatMap((list) => list.split(','));
  const isRepeated = queried.length > 1;
  const entries =
    isRepeated || queried.length === 1 ? queried.flatMap(splitHosts) : splitHosts(source.host ?? '');
  if (entries.length === 0)
    return ports.length === 0 && source.port === undefined ? [] : [localhost(source.port, ports)];
  if (ports.length > 0) return pairedHosts(entries, ports, isRepeated);
  return entries.map((entry) => withPort(parseHost(entry, entries.length > 1), source.port));
}

/** Reads a port; `text` is never shown, because what stands there may be a piece of a password. */
export function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return port;
  throw new ArgumentError(
    'the port in the database URL must be a number from 0 to 65535. ' +
      'Write @ : / in a user or password as %40 %3A %2F.',
  );
}

function localhost(port: number | undefined, ports: readonly string[]): HostAddress {
  if (ports.length > 1) throw countsDiffer(1, ports.length);
  const [text = ''] = ports;
  return withPort({ host: 'localhost' }, text === '' ? port : parsePort(text));
}

function pairedHosts(
  entries: readonly string[],
  ports: readonly string[],
  isRepeated: boolean,
): HostAddress[] {
  const hosts = entries.map((entry) => parseHost(entry, entries.length > 1));
  if (isRepeated || hosts.some((each) => each.port !== undefined)) {
    throw new ArgumentError(
      'the database URL gives ports in two ways. Write ?host=a:1&host=b:2, or ?host=a,b&port=1,2.',
    );
  }
  if (hosts.length !== ports.length) throw countsDiffer(hosts.length, ports.length);
  return hosts.map((each, index) => {
    const text = ports[index] ?? '';
    return text === '' ? each : { ...each, port: parsePort(text) };
  });
}

function splitHosts(list: string): string[] {
  return list === '' ? [] : list.split(',');
}

/**
 * Alone, `name:123` has a port, and a colon in anything else belongs to the name; in a list a colon always
 * stands before a port, except in an IPv6 address without brackets.
 */
function parseHost(entry: string, isListed: boolean): HostAddress {
  if (entry === '')
    throw new ArgumentError('a list of hosts in the database URL has an empty entry. Name every host.');
  if (entry.startsWith('/')) return { host: entry };
  const bracketed = /^\[([^\]]+)\](?::(.*))?$/.exec(entry);
  const plain = bracketed ?? /^([^:]+):([^:]*)$/.exec(entry);
  const [, host, port] = plain ?? [];
  if (host === undefined) return { host: withoutPort(entry) };
  if (port === undefined || port === '') return { host };
  if (!isListed && bracketed === null && !/^[\w.-]+:\d+$/.test(entry)) return { host: entry };
  return { host, port: parsePort(port) };
}

/** A name with more than one colon must be an IPv6 address; it is not shown, as little as a port. */
function withoutPort(entry: string): string {
  if (!/:.*:/.test(entry) || network().isIPv6(entry)) return entry;
  throw new ArgumentError(
    'a host in the database URL has more than one colon and is not an IPv6 address. Write host:port for each host, ' +
      'and an address as [::1]:5432.',
  );
}

function withPort(address: HostAddress, port: number | undefined): HostAddress {
  return address.port !== undefined || port === undefined ? address : { ...address, port };
}

function countsDiffer(hosts: number, ports: number): ArgumentError {
  return new ArgumentError(
    `the database URL has ${hosts} hosts and ${ports} ports. Give one port for each host.`,
  );
}
