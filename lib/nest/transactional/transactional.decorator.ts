import 'reflect-metadata';
import type { Observable } from 'rxjs';
import { ArgumentError } from '../../engine/index.js';
import type { TransactionalOptions } from '../../engine/index.js';
import { dressUp } from './dressed-method.js';
import { injectEngine } from './engine-property.js';
import { callTransactional } from './transactional-call.js';
import type { TransactionalMethod } from './transactional-call.js';

/** How a method is transactional; `engine` names the database when it is not the unnamed one. */
export interface TransactionalMethodOptions extends TransactionalOptions {
  /** The database's name; the unnamed one where it is not given. */
  readonly engine?: string | undefined;
}

/**
 * What a transactional method may return: there is no way to end a transaction for a value that is there at
 * once.
 */
export type Settling = PromiseLike<unknown> | Observable<unknown> | AsyncGenerator<unknown, unknown, unknown>;

/** Decorates a method whose end can be awaited, or a class of them. */
export interface TransactionalDecorator {
  /** @typeParam Method Returns a promise, an Observable or an async generator. */
  <Method extends (...args: never[]) => Settling>(
    target: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<Method>,
  ): void;
  (target: abstract new (...args: never[]) => object): void;
}

const EXEMPT = Symbol.for('nest-async-engine:non-transactional');
const WRAPPED = Symbol.for('nest-async-engine:transactional');

const LIFECYCLE_HOOKS: readonly string[] = [
  'constructor',
  'onModuleInit',
  'onApplicationBootstrap',
  'onModuleDestroy',
  'beforeApplicationShutdown',
  'onApplicationShutdown',
];

/**
 * Runs the method in a transaction: committed when its promise resolves, its Observable completes or its
 * generator ends; rolled back when it throws, or when nobody listens any more.
 *
 * Without a transaction around it, it begins one; inside one it is a savepoint, so that a failure which is
 * caught undoes this method alone. `propagation` says otherwise. On a class it covers the class's own
 * methods, whose own options win; lifecycle hooks, accessors and `@NonTransactional()` methods are left out.
 *
 * @throws UnexpectedRollbackError when a statement failed and the error was swallowed: nothing is stored
 * then.
 */
export function Transactional(options: TransactionalMethodOptions = {}): TransactionalDecorator {
  const decorate = (target: object, key?: string | symbol, descriptor?: PropertyDescriptor): void => {
    if (key === undefined) return wrapClass(target as abstract new (...args: never[]) => object, options);
    if (typeof descriptor?.value !== 'function') {
      throw new ArgumentError(
        `@Transactional() on '${String(key)}': only methods can be decorated. Turn the property or accessor into a method.`,
      );
    }
    descriptor.value = wrap(target, key, descriptor.value as TransactionalMethod, options, 'method');
  };
  return decorate as TransactionalDecorator;
}

/** Leaves a method of a `@Transactional()` class as it is. */
export function NonTransactional(): MethodDecorator {
  return (_target, _key, descriptor) => {
    Object.defineProperty(descriptor.value, EXEMPT, { value: true });
  };
}

function wrapClass(
  type: abstract new (...args: never[]) => object,
  options: TransactionalMethodOptions,
): void {
  const prototype = type.prototype as object;
  for (const key of Reflect.ownKeys(prototype)) {
    const descriptor = Object.getOwnPropertyDescriptor(prototype, key);
    const method: unknown = descriptor?.value;
    if (typeof method !== 'function' || LIFECYCLE_HOOKS.includes(String(key))) continue;
    if (Object.hasOwn(method, EXEMPT) || Object.hasOwn(method, WRAPPED)) continue;
    const value = wrap(prototype, key, method as TransactionalMethod, options, 'class');
    Object.defineProperty(prototype, key, { ...descriptor, value });
  }
}

function wrap(
  target: object,
  key: string | symbol,
  method: TransactionalMethod,
  options: TransactionalMethodOptions,
  form: 'method' | 'class',
): TransactionalMethod {
  const { engine: name, ...transactional } = options;
  const property = injectEngine(target, name);
  const label = `${target.constructor.name}.${String(key)}`;
  const plan = {
    label,
    property,
    form,
    options: { label, ...transactional },
    isObservable: returnsObservable(target, key),
  };
  const wrapper = function (this: object, ...args: unknown[]): unknown {
    return callTransactional(plan, this, () => method.apply(this, args));
  };
  Object.defineProperty(dressUp(wrapper, method), WRAPPED, { value: true });
  return wrapper;
}

// Where the method says what it returns, it need not be called to find out. Compared by name: there may be
// two rxjs.
function returnsObservable(target: object, key: string | symbol): boolean {
  const type: unknown = Reflect.getMetadata('design:returntype', target, key);
  return typeof type === 'function' && type.name === 'Observable';
}
