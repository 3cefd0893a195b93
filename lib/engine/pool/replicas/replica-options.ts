import { DatabaseUrl } from '../../driver/url/url.js';
import { ArgumentError } from '../../errors/errors.js';
import {
  asItIs,
  durationRule,
  eitherRule,
  LONGEST_TIMER,
  oneOf,
  timeRule,
  type OptionRule,
} from '../../util/option-rule.js';
import { OptionTable, tableRule } from '../../util/option-table.js';

/** After a write in a scope, reads on replicas are not allowed for a while. */
export interface PrimaryForOptions {
  /** Milliseconds after the last write. */
  readonly primaryFor: number;
}

/**
 * How a scope's reads on replicas see what the scope has written. `lsn`: a replica is asked, in the flight of
 * the read, whether it has that write, and the read runs on the primary where it has not. `primary`: after a
 * write, the rest of the scope reads on the primary; with `primaryFor` for so many ms. `false`: they may not.
 */
export type ReadYourWrites = 'lsn' | 'primary' | PrimaryForOptions | false;

/** Standbys for work that says `readOnly: true`. Times in ms. */
export interface ReplicaOptions {
  /**
   * One URL for each standby, or that of a balancer in front of them. User, password and database are those
   * of the engine's URL where one has none. The options of the engine and its pool hold for each.
   */
  readonly url: string | DatabaseUrl | readonly (string | DatabaseUrl)[];
  /** Default `lsn`. */
  readonly readYourWrites?: ReadYourWrites | undefined;
  /** A replica that is further behind takes no work. Default 5,000. */
  readonly maxLag?: number | undefined;
  /** How often each replica is asked for its role and its lag, once one was needed. Default 1,000. */
  readonly checkInterval?: number | undefined;
  /** How long PostgreSQL 19 waits for a scope's own write; older servers do not wait. Default 100. */
  readonly waitForWrites?: number | undefined;
  /** Where work goes when no replica can take it: `fail` is `NoReplicaError`. Default `primary`. */
  readonly fallback?: 'primary' | 'fail' | undefined;
}

/** The options with their defaults. */
export interface ResolvedReplicaOptions {
  readonly urls: readonly (string | DatabaseUrl)[];
  readonly readYourWrites: ReadYourWrites;
  readonly maxLag: number;
  readonly checkInterval: number;
  readonly waitForWrites: number;
  readonly fallback: 'primary' | 'fail';
}

const isUrl = (value: unknown): boolean => typeof value === 'string' || value instanceof DatabaseUrl;

const urlsRule: OptionRule = {
  expected: 'a URL, or a list of URLs that is not empty',
  accepts: (value) => (Array.isArray(value) ? value.length > 0 && value.every(isUrl) : isUrl(value)),
  coerce: asItIs,
  isSecret: true,
};

const PRIMARY_FOR_OPTIONS = new OptionTable<Partial<PrimaryForOptions>>(
  'readYourWrites',
  { primaryFor: timeRule },
  'refused',
);

const primaryForRule: OptionRule = {
  ...tableRule(PRIMARY_FOR_OPTIONS),
  expected: '{ primaryFor: milliseconds }',
};

const REPLICA_OPTIONS = new OptionTable<Partial<ReplicaOptions>>(
  'replicas',
  {
    url: urlsRule,
    readYourWrites: eitherRule(oneOf('lsn', 'primary', false), primaryForRule),
    maxLag: timeRule,
    checkInterval: durationRule(1, `milliseconds from 1 to ${LONGEST_TIMER}`),
    waitForWrites: timeRule,
    fallback: oneOf('primary', 'fail'),
  },
  'refused',
);

export const replicasRule: OptionRule = {
  ...tableRule(REPLICA_OPTIONS),
  expected: "an object, such as { url: 'postgresql://replica/shop' }",
  parse: (value) => {
    const options = REPLICA_OPTIONS.parse(value);
    if (options.url !== undefined) return options;
    throw new ArgumentError("replicas has no 'url'. Give the URL of each standby, or leave replicas out.");
  },
};

export function resolveReplicaOptions(options: ReplicaOptions): ResolvedReplicaOptions {
  const { url } = options;
  return {
    urls: typeof url === 'string' || url instanceof DatabaseUrl ? [url] : url,
    readYourWrites: options.readYourWrites ?? 'lsn',
    maxLag: options.maxLag ?? 5_000,
    checkInterval: options.checkInterval ?? 1_000,
    waitForWrites: options.waitForWrites ?? 100,
    fallback: options.fallback ?? 'primary',
  };
}
