/** Options that are settings of the server, with the names that those have there. */
export const SETTING_OF_OPTION: Readonly<Record<string, string>> = {
  applicationName: 'application_name',
  deferrable: 'transaction_deferrable',
  idleInTransactionTimeout: 'idle_in_transaction_session_timeout',
  lockTimeout: 'lock_timeout',
  readOnly: 'transaction_read_only',
  statementTimeout: 'statement_timeout',
};

/**
 * A copy of `defaults` with what `options` says in its place; undefined counts as not said. `settings` are
 * merged by name: one that is not named anew, as a setting or as an option, stays.
 */
export function mergeOptions<T extends object>(defaults: T, options: T | undefined): T {
  if (options === undefined) return defaults;
  const merged = { ...defaults };
  for (const name of Object.keys(options) as (keyof T)[]) {
    if (options[name] !== undefined) merged[name] = options[name];
  }
  mergeSettings(merged as WithSettings, defaults as WithSettings, options as WithSettings);
  return merged;
}

interface WithSettings {
  settings?: Readonly<Record<string, unknown>>;
  [option: string]: unknown;
}

function mergeSettings(merged: WithSettings, defaults: WithSettings, options: WithSettings): void {
  const { settings } = options;
  if (settings === undefined && defaults.settings === undefined) return;
  const kept = { ...defaults.settings };
  for (const [option, setting] of Object.entries(SETTING_OF_OPTION)) {
    if (options[option] !== undefined) delete kept[setting];
    if (settings?.[setting] !== undefined) delete merged[option];
  }
  merged.settings = { ...kept, ...settings };
}
