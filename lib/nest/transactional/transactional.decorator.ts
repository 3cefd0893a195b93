import 'reflect-metadata';
import { ArgumentError } from '../../engine/index.js';
import { injectEngine } from './engine-property.js';
import { copyMethodMetadata, type Method } from '../shared/method-metadata.js';
import { deferredBodyOf } from './method-wrapper.js';
import { planFor, runTransactional } from './transactional-method.js';
import type { MethodDeclaration, TransactionalPlan } from './transactional-method.js';
import { setClassOptions, TRANSACTIONAL_METHOD_OPTIONS } from './transactional-options.js';
import type { TransactionalMethodOptions, TransactionalReturn } from './transactional-options.js';

/** Decorates a method whose end can be awaited, or a class of them. */
export interface TransactionalDecorator {
  /** @typeParam Method Returns a promise, an Observable or an async generator. */
  <Method extends (...args: never[]) => TransactionalReturn>(
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
 * generator ends; rolled back when it throws, or when its values are no longer read.
 *
 * Without a transaction around it, it begins one; inside one it is a savepoint, so that a failure which is
 * caught undoes this method alone. `propagation` says otherwise. On a class it covers the class's own
 * methods; lifecycle hooks, accessors and `@NonTransactional()` methods are left out. An option of a method
 * wins over the same option of its class. An inherited `@Transactional()` method belongs to the subclass:
 * what the decorator of the subclass says, such as its `engine`, wins there.
 *
 * Above a `@TransactionalEventListener()`, it covers what the listener does and not its registration.
 *
 * @throws UnexpectedRollbackError when a statement failed and the error was swallowed: nothing is stored
 * then.
 * @example
 * ```ts
 * @Transactional({ isolationLevel: 'SERIALIZABLE', retry: 3 })
 * async transfer(from: number, to: number): Promise<void> {}
 * ```
 */
export function Transactional(given: TransactionalMethodOptions = {}): TransactionalDecorator {
  const options = TRANSACTIONAL_METHOD_OPTIONS.parse(given);
  const decorate = (target: object, key?: string | symbol, descriptor?: PropertyDescriptor): void => {
    if (
      key === undefined &&
      (target as { readonly prototype?: unknown } | undefined)?.prototype === undefined
    ) {
      throw new ArgumentError('@Transactional() decorates a class or a method. Write it in front of one.');
    }
    if (key === undefined) return decorateClass(target as abstract new (...args: never[]) => object, options);
    if (typeof descriptor?.value !== 'function') {
      throw new ArgumentError(
        `@Transactional() on '${String(key)}': only methods can be decorated. Turn the property or accessor into a method.`,
      );
    }
    descriptor.value = decorateMethod(target, key, descriptor.value as Method, options, 'method');
  };
  return decorate;
}

/** Leaves a method of a `@Transactional()` class as it is. */
export function NonTransactional(): MethodDecorator {
  return (_target, key, descriptor: PropertyDescriptor | undefined) => {
    if (typeof descriptor?.value !== 'function') {
      throw new ArgumentError(`@NonTransactional() on '${String(key)}': only methods can be decorated.`);
    }
    Object.defineProperty(descriptor.value, EXEMPT, { value: true });
  };
}

function decorateClass(
  type: abstract new (...args: never[]) => object,
  options: TransactionalMethodOptions,
): void {
  const prototype = type.prototype as object;
  setClassOptions(prototype, options);
  // Also for methods that are inherited.
  injectEngine(prototype, options.engine);
  for (const key of Reflect.ownKeys(prototype)) {
    const descriptor = Object.getOwnPropertyDescriptor(prototype, key);
    const method: unknown = descriptor?.value;
    if (typeof method !== 'function' || LIFECYCLE_HOOKS.includes(String(key))) continue;
    if (Object.hasOwn(method, EXEMPT) || Object.hasOwn(method, WRAPPED)) continue;
    const value = decorateMethod(prototype, key, method as Method, {}, 'class');
    Object.defineProperty(prototype, key, { ...descriptor, value });
  }
}

function decorateMethod(
  target: object,
  key: string | symbol,
  method: Method,
  options: TransactionalMethodOptions,
  form: 'method' | 'class',
): Method {
  injectEngine(target, options.engine);
  const body = deferredBodyOf(method);
  const inner = body?.call ?? method;
  const wrapper = wrap(inner, {
    declaring: target,
    key,
    options,
    form,
    returns: returnOf(target, key, inner),
  });
  const decorated = body === undefined ? copyMethodMetadata(wrapper, method) : method;
  if (body !== undefined) body.call = wrapper;
  return Object.defineProperty(decorated, WRAPPED, { value: true, configurable: true });
}

function wrap(method: Method, declaration: MethodDeclaration): Method {
  const plans = new WeakMap<object, TransactionalPlan>();
  return function (this: object | undefined, ...args: unknown[]): unknown {
    if (this === undefined || this === null) return Promise.reject(calledWithoutObject(declaration));
    const prototype = (Object.getPrototypeOf(this) ?? declaration.declaring) as object;
    let plan = plans.get(prototype);
    if (plan === undefined) {
      plan = planFor(declaration, prototype);
      plans.set(prototype, plan);
    }
    return runTransactional(plan, this, () => method.apply(this, args));
  };
}

function calledWithoutObject({ declaring, key }: MethodDeclaration): ArgumentError {
  const label = `${declaring.constructor.name}.${String(key)}`;
  return new ArgumentError(
    `${label} is @Transactional and was called without its object. Call it on the service, or bind it.`,
  );
}

// Where the method says what it returns, it need not be called to find out. Compared by name: there may be
// two rxjs.
function returnOf(target: object, key: string | symbol, method: Method): MethodDeclaration['returns'] {
  const type: unknown = Reflect.getMetadata('design:returntype', target, key);
  if (typeof type === 'function' && type.name === 'Observable') return 'observable';
  const tag = (method as { readonly [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
  return tag === 'AsyncGeneratorFunction' ? 'generator' : 'unknown';
}
