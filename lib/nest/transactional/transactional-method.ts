import 'reflect-metadata';
import { AsyncLocalStorage } from 'node:async_hooks';
import { defer, isObservable, throwError, type Observable } from 'rxjs';
import { IllegalStateError } from '../../engine/index.js';
import { isThenable } from '../../engine/util/option-rule.js';
import type { AsyncEngine, OpenTransaction, TransactionalOptions } from '../../engine/index.js';
import { inTransaction } from '../../rx/index.js';
import { engineOf } from './engine-property.js';
import { TransactionalGenerator, type AnyAsyncGenerator } from './transactional-generator.js';
import { resolveOptions } from './transactional-options.js';
import type { EngineChoice, TransactionalMethodOptions } from './transactional-options.js';
import { printable } from '../../engine/util/logger.js';
import { nameAndReasonOf } from '../../engine/errors/thrown.js';

/** A method as it was decorated. */
export interface MethodDeclaration {
  /** The prototype that it stands on. */
  readonly declaring: object;
  readonly key: string | symbol;
  readonly options: TransactionalMethodOptions;
  /** `class`: covered by its class's decorator, so that a plain value passes. */
  readonly form: 'method' | 'class';
  /** What is known of it before it is called. */
  readonly returns: 'observable' | 'generator' | 'unknown';
}

/** What a method does when it is called on objects of one class. */
export interface TransactionalPlan extends Pick<MethodDeclaration, 'form' | 'returns'> {
  readonly label: string;
  readonly engine: EngineChoice | undefined;
  readonly options: TransactionalOptions;
}

export function planFor(declaration: MethodDeclaration, prototype: object): TransactionalPlan {
  const { declaring, key, form, returns } = declaration;
  // A static method stands on its class.
  const owner = typeof declaring === 'function' ? declaring : prototype.constructor;
  const label = `${owner.name}.${String(key)}`;
  const { engine, ...options } = resolveOptions(prototype, declaring, declaration.options);
  return { label, engine, form, returns, options: { label, ...options } };
}

/** Calls a method in a transaction that is not open yet; what it returns says how the transaction ends. */
export function runTransactional(plan: TransactionalPlan, self: object, call: () => unknown): unknown {
  let engine: AsyncEngine;
  try {
    engine = engineOf(self, plan.engine, plan.label);
  } catch (error) {
    return failed(plan, error);
  }
  switch (plan.returns) {
    case 'observable':
      return inTransaction(engine, plan.options)(defer(call as () => Observable<unknown>));
    case 'generator':
      return new TransactionalGenerator(opener(engine, plan.options), call() as AnyAsyncGenerator);
    default:
      return runUndeclared(plan, engine, call);
  }
}

/** Fails in the way that the caller of the method listens for. */
function failed({ returns }: TransactionalPlan, error: unknown): unknown {
  const fail = (): never => {
    throw error;
  };
  if (returns === 'observable') return throwError(() => error);
  if (returns === 'generator') return new TransactionalGenerator(fail, nothing());
  return Promise.reject(error);
}

async function* nothing(): AsyncGenerator<never, void> {}

/** Opens the transaction later, in what is around this call. */
function opener(engine: AsyncEngine, options: TransactionalOptions): () => OpenTransaction {
  const inCaller = AsyncLocalStorage.snapshot();
  return () => inCaller(() => engine.openTransaction(options));
}

function runUndeclared(plan: TransactionalPlan, engine: AsyncEngine, call: () => unknown): unknown {
  let open: OpenTransaction;
  let returned: unknown;
  try {
    open = engine.openTransaction(plan.options);
  } catch (error) {
    return Promise.reject(error);
  }
  try {
    returned = open.run(call);
  } catch (error) {
    return engine.completeTransaction(open, () => Promise.reject(error), call);
  }
  if (isPlainPromise(returned)) return engine.completeTransaction(open, () => returned, call);
  // A lazy thenable, such as a query builder, runs when it is awaited: that must be inside, too.
  if (isThenable(returned)) return engine.completeTransaction(open, async () => await returned, call);
  if (isObservable(returned)) return observed(plan, engine, open, returned, call);
  if (isAsyncGenerator(returned)) return generated(plan, engine, open, returned);
  return settlePlainValue(plan, engine, open, returned);
}

/**
 * The Observable of an undeclared return type: the first subscription takes it, each other one calls the
 * method anew.
 */
function observed(
  plan: TransactionalPlan,
  engine: AsyncEngine,
  open: OpenTransaction,
  first: Observable<unknown>,
  call: () => unknown,
): Observable<unknown> {
  if (open.isOwn && open.transaction?.isUntouched === false) {
    endLater(engine, open.rollback(undefined));
    throw new IllegalStateError(
      `${plan.label} ran a statement before its Observable was subscribed to. Wrap the body in defer(), or declare ': Observable<…>'.`,
    );
  }
  endLater(engine, open.commit());
  let unused: Observable<unknown> | undefined = first;
  const source = defer(() => {
    const next = unused ?? (call() as Observable<unknown>);
    unused = undefined;
    return next;
  });
  return inTransaction(engine, plan.options)(source);
}

/** A generator that is never read must hold nothing: where nothing was sent, it begins when it is read. */
function generated(
  plan: TransactionalPlan,
  engine: AsyncEngine,
  open: OpenTransaction,
  source: AnyAsyncGenerator,
): TransactionalGenerator {
  if (open.transaction?.isUntouched === false) return new TransactionalGenerator(() => open, source);
  endLater(engine, open.commit());
  return new TransactionalGenerator(opener(engine, plan.options), source);
}

/** The caller has the value before the transaction ends: a failure of that end can only be reported. */
function settlePlainValue(
  plan: TransactionalPlan,
  engine: AsyncEngine,
  open: OpenTransaction,
  value: unknown,
): unknown {
  if (plan.form === 'class') {
    endLater(engine, open.commit(), `${plan.label} returned a plain value, and what it began was not stored`);
    return value;
  }
  const error = new IllegalStateError(
    `${plan.label} is @Transactional and returned neither a promise, an Observable nor an async generator. Make it async.`,
  );
  endLater(engine, open.rollback(error));
  throw error;
}

function endLater(engine: AsyncEngine, end: Promise<void>, subject = 'a transaction did not end'): void {
  end.catch((error: unknown) => engine.logger.error(printable(`${subject}: ${nameAndReasonOf(error)}`)));
}

/** A promise whose `then()` runs no code of a subclass. */
function isPlainPromise(value: unknown): value is Promise<unknown> {
  return value instanceof Promise && value.constructor === Promise;
}

function isAsyncGenerator(value: unknown): value is AnyAsyncGenerator {
  const candidate = value as AsyncGenerator | undefined;
  return typeof candidate?.next === 'function' && typeof candidate[Symbol.asyncIterator] === 'function';
}
