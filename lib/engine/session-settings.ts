import { ArgumentError } from './errors/errors.js';
import { checkSettings } from './transaction/isolation.js';

/** The options of an engine that become settings of each session. */
export interface SettingSources {
  readonly settings?: Readonly<Record<string, string>> | undefined;
  readonly applicationName?: string | undefined;
  readonly statementTimeout?: number | undefined;
  readonly lockTimeout?: number | undefined;
  readonly idleInTransactionTimeout?: number | undefined;
  readonly pgbouncer?: boolean | undefined;
}

/**
 * @throws ArgumentError for a name that is none, and for any setting behind a pooler that would hand it to
 * others.
 */
export function sessionSettings(options: SettingSources): Readonly<Record<string, string>> {
  const settings: Record<string, string> = { ...options.settings };
  const { applicationName, statementTimeout, lockTimeout, idleInTransactionTimeout } = options;
  if (applicationName !== undefined) settings['application_name'] = applicationName;
  if (statementTimeout !== undefined) settings['statement_timeout'] = String(statementTimeout);
  if (lockTimeout !== undefined) settings['lock_timeout'] = String(lockTimeout);
  if (idleInTransactionTimeout !== undefined) {
    settings['idle_in_transaction_session_timeout'] = String(idleInTransactionTimeout);
  }
  checkSettings(settings);
  const names = Object.keys(settings);
  if (options.pgbouncer === true && names.length > 0) {
    throw new ArgumentError(
      `pgbouncer hands one session to many clients, so ${names.join(', ')} would reach others. ` +
        `Give settings per transaction: executionOptions: { settings } or transaction options.`,
    );
  }
  return settings;
}
