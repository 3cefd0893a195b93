import { ArgumentError } from '../errors/errors.js';
import { describeKind, describeValue } from './describe-value.js';
import { ignoreRejection, isThenable, type OptionRule } from './option-rule.js';

/** Refuses a work, a hook or a listener that is not a function, before anything is taken for it. */
export function expectFunction(door: string, value: unknown): void {
  if (typeof value === 'function') return;
  ignoreRejection(value);
  const advice = isThenable(value)
    ? ' It has already been started: pass a function that starts it, () => …'
    : ' Pass a function, such as async () => { … }.';
  throw new ArgumentError(`${door} needs a function; got ${describeKind(value)}.${advice}`);
}

/**
 * Refuses an argument that its rule does not accept: `expectArgument('engine.drain()', timeRule, timeout)`.
 */
export function expectArgument(door: string, rule: OptionRule, value: unknown): void {
  if (rule.accepts(value)) return;
  ignoreRejection(value);
  throw new ArgumentError(`${door} needs ${rule.expected}; got ${describeValue(value)}.`);
}
