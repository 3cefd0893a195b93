import { expectArgument } from '../util/argument.js';
import {
  asItIs,
  deadlineRule,
  eitherRule,
  flagRule,
  oneOf,
  signalRule,
  timeRule,
  type OptionRule,
} from '../util/option-rule.js';
import { OptionTable } from '../util/option-table.js';

/** How work runs in one instance only. Times in ms. */
export interface ExclusiveOptions {
  /**
   * Whether it waits while another instance runs: true without end, a number for so long. Default false: it
   * does not run.
   */
  readonly wait?: boolean | number | undefined;
  /**
   * What holds the lock. `'transaction'` (default): the transaction that the work runs in. `'session'`: a
   * connection of its own, for work that is long, or has transactions of its own. Not with `pgbouncer`, nor
   * for PGlite.
   */
  readonly scope?: 'transaction' | 'session' | undefined;
  /**
   * A deadline for the wait and the work. A transaction is rolled back then; with `'session'` the signal of
   * the work is aborted, and the work says how it ends.
   */
  readonly timeout?: number | undefined;
  /** Ends the wait when it is aborted, and aborts the signal that the work gets. */
  readonly signal?: AbortSignal | undefined;
}

/** What each option of exclusive work may be. */
export const EXCLUSIVE_OPTIONS = new OptionTable<ExclusiveOptions>(
  'exclusive',
  {
    wait: eitherRule(flagRule, timeRule),
    scope: oneOf('transaction', 'session'),
    timeout: deadlineRule,
    signal: signalRule,
  },
  'refused',
);

const nameRule: OptionRule = {
  expected: 'a name: a string that is not empty and has no NUL',
  accepts: (value) => typeof value === 'string' && value !== '' && !value.includes('\0'),
  coerce: asItIs,
};

/** The names of locks, before they are needed: `door` takes one. */
export function expectLockName(door: string, name: unknown): void {
  expectArgument(door, nameRule, name);
}
