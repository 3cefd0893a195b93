import 'reflect-metadata';
import { EXCLUSIVE_OPTIONS, expectLockName } from '../../engine/ambient/exclusive-options.js';
import { ArgumentError, IllegalStateError, type ExclusiveOptions } from '../../engine/index.js';
import { eitherRule, functionRule, isThenable, nameRule } from '../../engine/util/option-rule.js';
import { OptionTable } from '../../engine/util/option-table.js';
import { copyMethodMetadata, type Method } from '../shared/method-metadata.js';
import { engineOf, injectEngine } from './engine-property.js';
import { deferredBodyOf } from './method-wrapper.js';
import { resolveEngine, type EngineChoice } from './transactional-options.js';

/** How a method runs in one instance only; `engine` says by a lock of which database. */
export interface ExclusiveMethodOptions extends Omit<ExclusiveOptions, 'signal'> {
  /** Default: the database that `@Transactional()` on the class names, otherwise the unnamed one. */
  readonly engine?: EngineChoice | undefined;
}

/**
 * Decorates a method that returns a promise.
 *
 * @typeParam Method Its callers also get undefined.
 */
export type ExclusiveDecorator = <Method extends (...args: never[]) => PromiseLike<unknown>>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<Method>,
) => void;

const { signal: _signal, ...rules } = EXCLUSIVE_OPTIONS.rules;
const METHOD_OPTIONS = new OptionTable<ExclusiveMethodOptions>(
  '@Exclusive',
  { ...rules, engine: eitherRule(nameRule, functionRule) },
  'refused',
);

/**
 * Runs the method where no other instance of the application runs one of this `name` on the database, as
 * `engine.exclusive()` does; the method is not called where one does, and gives undefined.
 *
 * It stands in any order with `@Transactional()` and with decorators that leave metadata, such as `@Cron()`.
 * Work that must stop when its lock is lost calls `engine.exclusive()`, which hands it a signal.
 *
 * @throws ArgumentError for a wrong name or option, and on what is not a method.
 * @example
 * ```ts
 * @Cron('0 3 * * *')
 * @Exclusive('nightly-report')
 * async report(): Promise<void> {}
 * ```
 */
export function Exclusive(name: string, given: ExclusiveMethodOptions = {}): ExclusiveDecorator {
  expectLockName('@Exclusive()', name);
  const { engine, ...options } = METHOD_OPTIONS.parse(given);
  const decorate = (target: object, key: string | symbol, descriptor?: PropertyDescriptor): void => {
    if (typeof descriptor?.value !== 'function') {
      throw new ArgumentError(
        `@Exclusive() on '${String(key)}': only methods can be decorated. Turn the property or accessor into a method.`,
      );
    }
    injectEngine(target, engine);
    const method = descriptor.value as Method;
    const body = deferredBodyOf(method);
    const inner = body?.call ?? method;
    const wrapper = async function (this: object | undefined, ...args: unknown[]): Promise<unknown> {
      if (this === undefined || this === null) {
        throw new ArgumentError(
          `${target.constructor.name}.${String(key)} is @Exclusive and was called without its object. Call it on the service, or bind it.`,
        );
      }
      const label = `${this.constructor.name}.${String(key)}`;
      const work = (): Promise<unknown> => expectPromise(label, inner.apply(this, args));
      return (await engineOf(this, resolveEngine(this, target, engine), label).exclusive(name, work, options))
        .value;
    };
    if (body === undefined) descriptor.value = copyMethodMetadata(wrapper, method);
    else body.call = wrapper;
  };
  return decorate;
}

/** What an Observable or a generator does comes when the lock is gone. */
async function expectPromise(label: string, returned: unknown): Promise<unknown> {
  if (isThenable(returned)) return await returned;
  throw new IllegalStateError(`${label} is @Exclusive and did not return a promise. Make it async.`);
}
