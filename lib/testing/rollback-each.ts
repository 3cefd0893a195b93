import { functionRule, timeRule, wordRule } from '../engine/util/option-rule.js';
import { OptionTable } from '../engine/util/option-table.js';
import { ArgumentError, IllegalStateError, type AsyncEngine } from '../engine/index.js';
import type { INestApplicationContext } from '@nestjs/common';
import { getEngineToken } from '../nest/shared/database.tokens.js';
import { isEngine } from '../nest/shared/is-engine.js';
import { TestTransaction } from './rollback/test-transaction.js';
import { findHooks, testName, type TestHooks } from './test-hooks.js';

/** An application or its engine; or a function that gives it, for one that a `beforeAll` makes. */
export type RollbackTarget =
  | AsyncEngine
  | Pick<INestApplicationContext, 'get'>
  | (() => AsyncEngine | Pick<INestApplicationContext, 'get'>);

/** Times in ms. */
export interface RollbackEachOptions extends TestHooks {
  /** The database of the application, where it is not the unnamed one. */
  readonly name?: string | undefined;
  /**
   * How long a statement waits for a transaction beside it, since all share one connection. Default 3,000.
   */
  readonly turnTimeout?: number | undefined;
  /** How long the end of a test waits for work that is still under way. Default 2,000. */
  readonly settleTimeout?: number | undefined;
}

const ROLLBACK_OPTIONS = new OptionTable<RollbackEachOptions>(
  'rollbackEach',
  {
    beforeEach: functionRule,
    afterEach: functionRule,
    name: wordRule,
    turnTimeout: timeRule,
    settleTimeout: timeRule,
  },
  'refused',
);

/**
 * Undoes after each test what it has stored. For the length of a test, all work of the engine runs on one
 * connection, in one transaction that is rolled back at the end. The application's own BEGIN and COMMIT
 * become savepoints, over HTTP too: what fails is undone, hooks run when the application commits, deferred
 * constraints are checked there.
 *
 * Call it where tests are declared. It takes `beforeEach` and `afterEach` from the globals of Vitest or Jest,
 * or those given. A test that leaves a connection checked out fails, by an IllegalStateError that names the
 * test.
 *
 * Transactions of the application run one after the other. A transaction inside another one that should be
 * independent of it (`requires-new`) is nested: undone with it, which fails the test. Isolation levels are
 * taken and have no effect, READ ONLY has. Sequences are not rolled back, `now()` stands still, notifications
 * are not delivered.
 *
 * @throws ArgumentError without hooks, or for what is neither an engine nor an application.
 *
 * @example
 * ```ts
 * describe('orders', () => {
 *   rollbackEach(() => engine);
 *
 *   it('stores an order, which the next test does not see', async () => {
 *     await orders.place(order);
 *   });
 * });
 * ```
 */
export function rollbackEach(target: RollbackTarget, given: RollbackEachOptions = {}): void {
  const options = ROLLBACK_OPTIONS.parse(given);
  const { beforeEach, afterEach } = findHooks(options);
  const { turnTimeout = 3_000, settleTimeout = 2_000, name } = options;
  if (typeof target !== 'function') engineOf(target, name);
  let current: TestTransaction | undefined;
  // No named parameters: Jest would take the first for a callback, Vitest for fixtures.
  beforeEach(async () => {
    const engine = engineOf(typeof target === 'function' ? target() : target, name);
    current = await TestTransaction.begin(engine, turnTimeout);
  });
  afterEach(async (...context) => {
    const ending = current;
    current = undefined;
    const complaints = (await ending?.end(settleTimeout)) ?? [];
    if (complaints.length === 0) return;
    throw new IllegalStateError(`${testName(context)}: ${complaints.join(' ')}`);
  });
}

function engineOf(target: unknown, name: string | undefined): AsyncEngine {
  if (isEngine(target)) return target;
  if (isApplication(target)) return target.get<AsyncEngine>(getEngineToken(name), { strict: false });
  throw new ArgumentError(
    'rollbackEach() takes an AsyncEngine or a Nest application. One that is made later, in beforeAll(), is given by a ' +
      'function: rollbackEach(() => app).',
  );
}

function isApplication(target: unknown): target is Pick<INestApplicationContext, 'get'> {
  return typeof (target as INestApplicationContext | undefined)?.get === 'function';
}
