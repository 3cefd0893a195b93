import { ArgumentError } from '../engine/index.js';

/** A function of the test runner that takes what to do around each test. */
export type HookRegistrar = (hook: (...context: unknown[]) => Promise<void>) => unknown;

/** The hooks of a test runner that has no globals. */
export interface TestHooks {
  readonly beforeEach?: HookRegistrar | undefined;
  readonly afterEach?: HookRegistrar | undefined;
}

/**
 * The hooks that were given, else the runner's globals.
 *
 * @throws ArgumentError where there are neither.
 */
export function findHooks(given: TestHooks): Required<{ [Name in keyof TestHooks]: HookRegistrar }> {
  const globals = globalThis as TestHooks;
  const { beforeEach = globals.beforeEach, afterEach = globals.afterEach } = given;
  if (typeof beforeEach === 'function' && typeof afterEach === 'function') return { beforeEach, afterEach };
  throw new ArgumentError(
    'rollbackEach() found no beforeEach and afterEach. Give it those of your test runner, ' +
      "rollbackEach(app, { beforeEach, afterEach }) with both imported from 'vitest' or '@jest/globals', or turn the " +
      'globals of the runner on.',
  );
}

/** The name of the test that runs: Vitest hands it to its hooks, Jest keeps it in `expect`. */
export function testName(context: readonly unknown[]): string {
  const [first] = context as readonly { readonly task?: { readonly name?: unknown } }[];
  if (typeof first?.task?.name === 'string') return `'${first.task.name}'`;
  const globals = globalThis as { expect?: { getState?(): { currentTestName?: unknown } } };
  const name = globals.expect?.getState?.().currentTestName;
  return typeof name === 'string' ? `'${name}'` : 'this test';
}
