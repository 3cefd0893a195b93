import { AsyncLocalStorage } from 'node:async_hooks';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { Observable, type Subscriber } from 'rxjs';
import type { HandlerExecution } from './handler-execution.js';

const EXECUTIONS = Symbol('nest-async-engine:executions');

/** Nest makes one for each call of a handler and hands it to all its interceptors. */
type FollowedContext = ExecutionContext & { [EXECUTIONS]?: readonly HandlerExecution[] };

/** Tells `execution`, one for each database, of each run of the handler of `context`. */
export function followRuns(context: FollowedContext, execution: HandlerExecution): void {
  context[EXECUTIONS] = [...(context[EXECUTIONS] ?? []), execution];
}

export function unfollowRuns(context: FollowedContext, execution: HandlerExecution): void {
  context[EXECUTIONS] = (context[EXECUTIONS] ?? []).filter((other) => other !== execution);
}

/**
 * The innermost interceptor of a handler: sees each of its runs, where the one that ends the unit of work
 * sees only what other interceptors, such as one with `retry()`, make of them. Keeps nothing: it stands on
 * the method for all applications of the process.
 */
export const HANDLER_RUNS: NestInterceptor = {
  async intercept(context: FollowedContext, next: CallHandler): Promise<Observable<unknown>> {
    const executions = context[EXECUTIONS] ?? [];
    if (executions.length === 0) return next.handle();
    for (const execution of executions) {
      const undoing = execution.prepareRun();
      if (undoing !== undefined) await undoing;
    }
    // Here, and not when it is subscribed to: only now the async context is that of the interceptors around.
    const inInterceptors = AsyncLocalStorage.snapshot();
    const runs = executions.map((execution) => execution.openRun());
    const inRun = <T>(work: () => T): T => runs.reduce((inner, run) => () => run.run(inner), work)();
    const handled = inRun(() => next.handle());
    return new Observable((out) => {
      for (const execution of executions) execution.runStarted();
      const followed = new FollowedRun(executions, inInterceptors);
      const subscription = inRun(() =>
        handled.subscribe({
          next: (value) => followed.next(out, value),
          error: (error: unknown) => void followed.fail(out, error),
          complete: () => followed.complete(out),
        }),
      );
      return () => {
        subscription.unsubscribe();
        followed.leave();
      };
    });
  },
};

/** One run of a handler, and what its end means to the executions that it is a part of. */
class FollowedRun {
  readonly #executions: readonly HandlerExecution[];
  readonly #inInterceptors: <T>(work: () => T) => T;
  #state: 'silent' | 'answering' | 'ended' = 'silent';

  constructor(executions: readonly HandlerExecution[], inInterceptors: <T>(work: () => T) => T) {
    this.#executions = executions;
    this.#inInterceptors = inInterceptors;
  }

  next(out: Subscriber<unknown>, value: unknown): void {
    this.#state = 'answering';
    out.next(value);
  }

  complete(out: Subscriber<unknown>): void {
    this.#succeeded();
    out.complete();
  }

  async fail(out: Subscriber<unknown>, error: unknown): Promise<void> {
    await this.#failed();
    // The run has ended: what interceptors do about its error is not late work of it.
    this.#inInterceptors(() => out.error(error));
  }

  /** An interceptor has unsubscribed: it has its value, or does without. */
  leave(): void {
    if (this.#state === 'answering') this.#succeeded();
    else if (this.#state === 'silent') void this.#failed();
  }

  #succeeded(): void {
    this.#state = 'ended';
    for (const execution of this.#executions) execution.runSucceeded();
  }

  async #failed(): Promise<void> {
    this.#state = 'ended';
    // Here and not in the run, which ends with it.
    await this.#inInterceptors(() => Promise.all(this.#executions.map((execution) => execution.runFailed())));
  }
}
