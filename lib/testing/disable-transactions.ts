import 'reflect-metadata';
import { ArgumentError, IllegalStateError, NullPool, createAsyncEngine } from '../engine/index.js';
import type { AsyncEngine, TransactionalOptions } from '../engine/index.js';
import { describeValue } from '../engine/util/describe-value.js';
import { engineProperties } from '../nest/transactional/engine-property.js';

/**
 * An engine without a database: `@Transactional()` and `engine.transaction()` call the work, nothing is sent,
 * and a statement is refused. Hooks run as ever: `afterCommit` when the work returns,
 * `afterRollback` when it throws.
 *
 * Give it to a testing module in the engine's place, `{ provide: getEngineToken(), useValue:
 * disableTransactions() }`, or name the objects that a test has made by hand: `disableTransactions(service)`.
 *
 * @throws ArgumentError for an object whose class has no `@Transactional()` method.
 */
export function disableTransactions(...instances: readonly object[]): AsyncEngine {
  const engine = createAsyncEngine('postgresql://no-database', { poolClass: NullPool, asyncCreator: refuse });
  const transaction = engine.transaction.bind(engine);
  const openTransaction = engine.openTransaction.bind(engine);
  // Without a transaction around it, `mandatory` would refuse the call that the test is about.
  const disabled = Object.assign(engine, {
    transaction: (work: () => unknown, options: TransactionalOptions = {}) =>
      transaction(work, withoutMandatory(options)),
    openTransaction: (options: TransactionalOptions = {}) => openTransaction(withoutMandatory(options)),
  });
  for (const instance of instances) inject(disabled, instance);
  return disabled;
}

function withoutMandatory(options: TransactionalOptions): TransactionalOptions {
  return options.propagation === 'mandatory' ? { ...options, propagation: 'nested' } : options;
}

function inject(engine: AsyncEngine, instance: object): void {
  const given: unknown = instance;
  const properties = Object(given) === given ? engineProperties(instance) : [];
  if (properties.length === 0) {
    throw new ArgumentError(
      `disableTransactions() got ${describeValue(given)}, which has no @Transactional() method. Give it the object whose ` +
        'methods are decorated.',
    );
  }
  for (const property of properties) Reflect.set(instance, property, engine);
}

function refuse(): Promise<never> {
  return Promise.reject(
    new IllegalStateError(
      'a statement was run, and disableTransactions() has no database to run it on. Replace the repository by a ' +
        'double, or test with DatabaseTestingModule.',
    ),
  );
}
