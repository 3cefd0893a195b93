import { AsyncLocalStorage } from 'node:async_hooks';
import { ArgumentError } from '../../../engine/index.js';
import { copyMethodMetadata } from '../../shared/method-metadata.js';

/** How many statements one call of a method may send, and how many it has. */
class Budget {
  readonly label: string;
  readonly limit: number;
  spent = 0;

  constructor(label: string, limit: number) {
    this.label = label;
    this.limit = limit;
  }
}

const current = new AsyncLocalStorage<Budget>();

/** The budget that the caller works on. */
export function currentBudget(): Budget | undefined {
  return current.getStore();
}

/**
 * Makes it a finding when one call of the method sends more than `limit` statements, BEGIN and COMMIT not
 * counted. What is done about it, `guards.action` of {@link DatabaseDevtoolsModule} says; without that module
 * it does nothing.
 *
 * @throws ArgumentError when `limit` is not a whole number from 0, and on anything but a method.
 *
 * @example
 * ```ts
 * @Get('orders')
 * @StatementBudget(3)
 * async orders(): Promise<void> {}
 * ```
 */
export function StatementBudget(limit: number): MethodDecorator {
  return (target, key, descriptor: PropertyDescriptor | undefined): void => {
    const label = `${target.constructor.name}.${String(key)}`;
    const method: unknown = descriptor?.value;
    if (descriptor === undefined || typeof method !== 'function') {
      throw new ArgumentError(`@StatementBudget() on '${label}': only methods can be decorated.`);
    }
    if (!Number.isSafeInteger(limit) || limit < 0) {
      throw new ArgumentError(`@StatementBudget() on '${label}' must be given a whole number from 0.`);
    }
    const wrapper = function (this: unknown, ...args: unknown[]): unknown {
      return current.run(new Budget(label, limit), () => method.apply(this, args) as unknown);
    };
    descriptor.value = copyMethodMetadata(wrapper, method as never);
  };
}
