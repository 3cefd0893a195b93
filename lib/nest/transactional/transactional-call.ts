import { defer, isObservable, throwError } from 'rxjs';
import type { Observable } from 'rxjs';
import { IllegalStateError, NoActiveScopeError } from '../../engine/index.js';
import type { AsyncEngine, OpenTransaction, TransactionalOptions } from '../../engine/index.js';
import { inTransaction } from '../../rx/index.js';
import { TransactionalGenerator } from './transactional-generator.js';

export type TransactionalMethod = (this: object, ...args: unknown[]) => unknown;

/** What a decorated method knows before it is called. */
export interface TransactionalPlan {
  readonly label: string;
  /** Where the container has put the engine. */
  readonly property: symbol;
  /** `class`: covered by its class's decorator, so that a plain value passes. */
  readonly form: 'method' | 'class';
  readonly options: TransactionalOptions;
  readonly isObservable: boolean;
}

/** Calls a method in a transaction that is not open yet; what it returns says how the transaction ends. */
export function callTransactional(plan: TransactionalPlan, self: object, call: () => unknown): unknown {
  const engine = Reflect.get(self, plan.property) as AsyncEngine | undefined;
  if (engine === undefined) return refused(plan);
  if (plan.isObservable) {
    return inTransaction(engine, plan.options)(defer(call as () => Observable<unknown>));
  }
  return settle(plan, engine, call);
}

function settle(plan: TransactionalPlan, engine: AsyncEngine, call: () => unknown): unknown {
  let open: OpenTransaction;
  let returned: unknown;
  try {
    open = engine.openTransaction(plan.options);
  } catch (error) {
    return Promise.reject(error as Error);
  }
  // A lazy thenable, such as a query builder, runs when it is awaited: that must be inside, too.
  const again = async (): Promise<unknown> => await call();
  try {
    returned = open.run(call);
  } catch (error) {
    return engine.completeTransaction(open, () => Promise.reject(error as Error), again);
  }
  if (isObservable(returned)) return observed(plan, engine, open, returned, call);
  if (isAsyncGenerator(returned)) return new TransactionalGenerator(open, returned);
  if (isThenable(returned)) return engine.completeTransaction(open, async () => await returned, again);
  void open.commit();
  if (plan.form === 'class') return returned;
  throw new IllegalStateError(
    `${plan.label} is @Transactional and returned neither a promise, an Observable nor an async generator. Make it async.`,
  );
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
    void open.rollback(undefined);
    throw new IllegalStateError(
      `${plan.label} ran a statement before its Observable was subscribed to. Wrap the body in defer(), or declare ': Observable<…>'.`,
    );
  }
  void open.commit();
  let unused: Observable<unknown> | undefined = first;
  const source = defer(() => {
    const next = unused ?? (call() as Observable<unknown>);
    unused = undefined;
    return next;
  });
  return inTransaction(engine, plan.options)(source);
}

/** Rejects in the way that the method's caller listens for. */
function refused(plan: TransactionalPlan): unknown {
  const error = new NoActiveScopeError(
    `${plan.label} is @Transactional and there is no engine for it. Import DatabaseModule.forRoot() and let Nest create the class.`,
  );
  return plan.isObservable ? throwError(() => error) : Promise.reject(error);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === 'function';
}

function isAsyncGenerator(value: unknown): value is AsyncGenerator<unknown, unknown, unknown> {
  const candidate = value as AsyncGenerator | undefined;
  return typeof candidate?.next === 'function' && typeof candidate[Symbol.asyncIterator] === 'function';
}
