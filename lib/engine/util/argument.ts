import { ArgumentError } from '../errors/errors.js';
import { describeKind } from './describe-value.js';
import { isThenable } from './option-rule.js';

/** Refuses a work, a hook or a listener that is not a function, before anything is taken for it. */
export function expectFunction(door: string, value: unknown): void {
  if (typeof value === 'function') return;
  const advice = isThenable(value)
    ? ' It has already been started: pass a function that starts it, () => …'
    : ' Pass a function, such as async () => { … }.';
  throw new ArgumentError(`${door} needs a function; got ${describeKind(value)}.${advice}`);
}
