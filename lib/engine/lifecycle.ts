import { IllegalStateError } from './errors.js';

/** Refuses `action` unless `state` is one of `allowed`. The sentence names what was asked and what stands in its way. */
export function expectState<State extends string>(
  action: string,
  state: State,
  allowed: readonly State[],
  subject: string,
): void {
  if (!allowed.includes(state))
    throw new IllegalStateError(`cannot ${action}: the ${subject} is already ${state}`);
}
