import type { CanActivate, ExecutionContext, Type } from '@nestjs/common';
import {
  asItIs,
  durationRule,
  flagRule,
  functionRule,
  integerRule,
  isPlainObject,
  type OptionRule,
} from '../../engine/util/option-rule.js';
import { OptionTable } from '../../engine/util/option-table.js';
import { environment } from '../shared/environment.js';
import type { FindingAction } from './recording/findings.js';
import type { PoolLimits } from './recording/pool-findings.js';
import type { FindingLimits } from './recording/unit-findings.js';

/** From which figure on something is a finding, and what is done about it. */
export interface DevtoolsGuards extends Partial<FindingLimits>, Partial<PoolLimits> {
  /** Default `show`. `warn` also logs the first of each kind and place; `throw` refuses the statement. */
  readonly action?: FindingAction | undefined;
}

/** A guard class, or a function that says whether a request may see the page. */
export type DevtoolsGuard =
  Type<CanActivate> | ((context: ExecutionContext) => ReturnType<CanActivate['canActivate']>);

/** Where the page is, what it shows, and who may see it. */
export interface DatabaseDevtoolsOptions {
  /** Default `/_database`. */
  readonly path?: string | undefined;
  /** The names of the databases that are looked at. Default: all of the application. */
  readonly engines?: readonly string[] | undefined;
  /** True: the values of statements are shown, also those in errors and plans. Default false. */
  readonly values?: boolean | undefined;
  /**
   * Needed where NODE_ENV is neither `development` nor `test`. Default: everybody who reaches the application
   * may see it; where NODE_ENV is not set, only requests of the same machine.
   */
  readonly guard?: DevtoolsGuard | undefined;
  /**
   * Defaults: repeated 5, heldIdle 200 ms, statements 100, slow 1,000 ms, poolWait 100 ms, leak 60,000 ms,
   * action `show`.
   */
  readonly guards?: DevtoolsGuards | undefined;
}

const functionOrWord: OptionRule = {
  expected: `'show', 'warn', 'throw' or a function`,
  accepts: (value) => typeof value === 'function' || ['show', 'warn', 'throw'].includes(value as string),
  coerce: asItIs,
};

const guardRule: OptionRule = { ...functionRule, expected: 'a guard class or a function' };

const namesRule: OptionRule = {
  expected: 'a list of names',
  accepts: (value) => Array.isArray(value) && value.every((name) => typeof name === 'string'),
  coerce: asItIs,
};

const pathRule: OptionRule = {
  expected: 'a path such as /_database, of letters, digits, -, _, . and /',
  accepts: (value) => typeof value === 'string' && /^\/[\w./-]*[\w.-]$/.test(value),
  coerce: asItIs,
};

const countOf = integerRule(1, 'a whole number from 1');
const lengthOf = durationRule(1, 'milliseconds from 1');

const GUARD_OPTIONS = new OptionTable<DevtoolsGuards>(
  'guards',
  {
    repeated: countOf,
    heldIdle: lengthOf,
    statements: countOf,
    slow: lengthOf,
    poolWait: lengthOf,
    leak: lengthOf,
    action: functionOrWord,
  },
  'refused',
);

const guardsRule: OptionRule = {
  expected: 'an object of limits',
  accepts: isPlainObject,
  coerce: asItIs,
  parse: (value) => GUARD_OPTIONS.parse(value),
};

const DEVTOOLS_OPTIONS = new OptionTable<DatabaseDevtoolsOptions>(
  'DatabaseDevtoolsModule.forRoot',
  { path: pathRule, engines: namesRule, values: flagRule, guard: guardRule, guards: guardsRule },
  'refused',
);

const LIMITS: FindingLimits & PoolLimits = {
  repeated: 5,
  heldIdle: 200,
  statements: 100,
  slow: 1_000,
  poolWait: 100,
  leak: 60_000,
};

/** What the module works with. */
export interface DevtoolsSettings {
  readonly path: string;
  readonly engines: readonly string[] | undefined;
  readonly showValues: boolean;
  readonly guard: DevtoolsGuard | undefined;
  /** True: without a guard, only requests of the same machine see it. */
  readonly isLocalOnly: boolean;
  readonly limits: FindingLimits & PoolLimits;
  readonly action: FindingAction;
}

/** @throws ArgumentError for a wrong option. */
export function settingsOf(given: DatabaseDevtoolsOptions): DevtoolsSettings {
  const { path = '/_database', engines, values = false, guard, guards = {} } = DEVTOOLS_OPTIONS.parse(given);
  const { action = 'show', ...limits } = guards;
  return {
    path,
    engines,
    showValues: values,
    guard,
    isLocalOnly: environment().kind === 'unset',
    limits: { ...LIMITS, ...limits },
    action,
  };
}
