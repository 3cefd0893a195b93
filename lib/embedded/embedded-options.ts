import { ArgumentError } from '../engine/errors/errors.js';
import { asItIs, integerRule, isPlainObject, type OptionRule } from '../engine/util/option-rule.js';
import { OptionTable } from '../engine/util/option-table.js';

export const host = '127.0.0.1';

/** A server takes 10 that stream or copy, as `max_wal_senders` says. */
const MOST_REPLICAS = 8;

/** Given last: they protect the server, or its start is read from them. */
export const fixedSettings = {
  listen_addresses: host,
  logging_collector: 'off',
  log_destination: 'stderr',
  log_min_messages: 'warning',
  lc_messages: 'C',
};

/** How an embedded PostgreSQL is set up. */
export interface EmbeddedPostgresOptions {
  /**
   * Where the data is kept between runs; made when missing. Left out, the data lives in a temporary folder,
   * the server does not wait for the disk, and nothing is left when it stops.
   */
  readonly dataDir?: string | undefined;
  /** Default: a free one. */
  readonly port?: number | undefined;
  /**
   * Server settings as in `postgresql.conf`: `{ max_connections: '200' }`. There is no Unix socket unless
   * `unix_socket_directories` names a folder for it.
   */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /**
   * Streaming standbys that are started beside it, with the same settings and each on a free port. They are
   * made anew at each start and leave nothing behind. Default 0.
   */
  readonly replicas?: number | undefined;
}

const settingsRule: OptionRule = {
  expected: 'a plain object of strings by the names of settings, such as { max_connections: "200" }',
  accepts: (value) => isPlainObject(value) && Object.values(value).every((each) => typeof each === 'string'),
  coerce: asItIs,
  parse: (settings) => {
    for (const name of Object.keys(settings as object)) checkSettingName(name);
    return settings;
  },
};

/** What each option of an embedded server may be. */
export const EMBEDDED_OPTIONS = new OptionTable<EmbeddedPostgresOptions>(
  'embedded',
  {
    dataDir: {
      expected: 'a path that is not empty; leave it out for a temporary directory',
      accepts: (value) => typeof value === 'string' && value.trim() !== '' && !value.includes('\0'),
      coerce: asItIs,
    },
    port: integerRule(1, 'an integer from 1 to 65535; leave it out for a free one', 65_535),
    settings: settingsRule,
    replicas: integerRule(0, `an integer from 0 to ${MOST_REPLICAS}`, MOST_REPLICAS),
  },
  'refused',
);

function checkSettingName(name: string): void {
  if (!/^[a-z_.]+$/.test(name)) {
    throw new ArgumentError(
      `settings: "${name}" is not the name of a PostgreSQL setting. Use small letters, "_" and ".", as in "work_mem".`,
    );
  }
  if (name === 'port' || name === 'data_directory' || name in fixedSettings) {
    throw new ArgumentError(`settings: "${name}" is set by startEmbeddedPostgres itself. Leave it out.`);
  }
}
