import type { LateOptions } from '../connection/connection-options.js';
import { EXECUTION_OPTIONS, type ExecutionOptions } from '../execution/execution-options.js';
import { isConsistencyToken } from '../pool/replicas/write-mark.js';
import { asItIs, functionRule, objectRule, oneOf, wordRule, type OptionRule } from '../util/option-rule.js';
import { OptionTable } from '../util/option-table.js';

/**
 * `onSuccess`: asking for the scope's connection makes the scope one transaction, committed when it succeeds.
 * `explicit`: the application commits; an open transaction is rolled back with a warning.
 */
export type ScopeCommit = 'onSuccess' | 'explicit';

/** How a scope is named, what its end does, and how its connection runs. */
export interface ScopeOptions {
  /** Names the scope in errors and warnings: a route, a job. Default: where it was opened. */
  readonly label?: string | undefined;
  /** Default `onSuccess`. */
  readonly commit?: ScopeCommit | undefined;
  /** For the scope's own connection. Its first statement asks a function once, and awaits a promise. */
  readonly connection?: ExecutionOptions | LateOptions | undefined;
  /**
   * A token of `engine.consistencyToken()`, of another scope, service or request: what the scope reads on
   * replicas has what was written before it was made.
   */
  readonly after?: string | undefined;
  /** The object that opened the scope, for code that finds the scope later. */
  readonly owner?: object | undefined;
}

const connectionRule: OptionRule = {
  expected: 'an object of execution options, or a function that gives one',
  accepts: (value) => (typeof value === 'function' ? functionRule : objectRule).accepts(value),
  coerce: asItIs,
  parse: (value) => (typeof value === 'function' ? value : EXECUTION_OPTIONS.parse(value)),
};

/** Options of statements and transactions, by name, with what to do instead. */
function ofOthers(): Readonly<Record<string, string>> {
  const ofConnections = EXECUTION_OPTIONS.names.map((name) => [
    name,
    `Set it on its connection: { connection: { ${name} } }.`,
  ]);
  return { ...EXECUTION_OPTIONS.misplaced, ...Object.fromEntries(ofConnections) };
}

/** What each option of a scope may be. */
export const SCOPE_OPTIONS = new OptionTable<ScopeOptions>(
  'scope',
  {
    label: wordRule,
    commit: oneOf('onSuccess', 'explicit'),
    connection: connectionRule,
    owner: objectRule,
    after: {
      expected: 'a token of engine.consistencyToken()',
      accepts: isConsistencyToken,
      coerce: asItIs,
    },
  },
  'taken',
  ofOthers,
);
