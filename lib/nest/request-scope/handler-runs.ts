import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { Observable, tap } from 'rxjs';
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
      if (execution.isRepeated) await execution.undoRuns();
    }
    // Here, and not when it is subscribed to: only now the async context is that of the interceptors around.
    const runs = executions.map((execution) => execution.openRun());
    const inRun = <T>(work: () => T): T => runs.reduce((inner, run) => () => run.run(inner), work)();
    const handled = inRun(() => next.handle());
    return new Observable((out) => {
      for (const execution of executions) execution.runStarted();
      const end = (): void => executions.forEach((execution) => execution.runEnded());
      return inRun(() => handled.pipe(tap({ error: end, complete: end, unsubscribe: end })).subscribe(out));
    });
  },
};
