import type { Round } from './protocol.js';

/** How much a round does. */
export interface Size {
  /** Operations of one round, a multiple of the callers. */
  readonly operations: number;
  /** Rows of one operation, where that is the point of the workload. */
  readonly rows?: number | undefined;
  /** Milliseconds of one round, where it goes on for a time instead of for a number of operations. */
  readonly duration?: number | undefined;
  /** Rounds, where the default is too many for work that takes so long, or too few. */
  readonly rounds?: number | undefined;
  /**
   * Operations before those that count, rounded up to rounds; where nothing is said, one round. V8 needs about 20,000 calls
   * until all code on a way is optimized on Node.js 24, and 8,000 on 20.
   */
  readonly warmUp?: number | undefined;
}

/** What stands between a contender and its database. */
export interface Way {
  /** The way's own URL of the database. */
  readonly url: string;
  close(): Promise<void>;
}

/** What a contender gets when it opens. */
export interface Setting {
  /** A database with the tables of fixtures.ts; behind its `way` where the workload has one. */
  readonly url: string;
  /** The same database directly, for looking at what was stored. */
  readonly directUrl: string;
  readonly size: Size;
}

/** One way of doing the work of a workload: open, checked once, ready for rounds. */
export interface Subject {
  /** Undoes what the last round left behind; not measured. */
  prepare?(): Promise<void>;
  /** One round. Throws when a result is wrong. What it measured itself wins over what its process took. */
  run(): Promise<Partial<Round> | void>;
  /** After the round, not measured: looks at what was stored and throws when it is wrong. */
  verify?(): Promise<void>;
  close(): Promise<void>;
}

export interface Contender {
  /** As tables print it; unique in its workload. */
  readonly name: string;
  /** Loads what it measures here and not before, so that no process carries the libraries of the others. */
  readonly open: (setting: Setting) => Promise<Subject>;
}

/** A figure to reach. Ratios are to the base of the workload where `over` does not name another contender. */
export type Goal =
  | { readonly of: string; readonly atLeast: number }
  | { readonly of: string; readonly atMost: number }
  | { readonly of: string; readonly over: string; readonly atLeast: number }
  | { readonly of: string; readonly over: string; readonly atMost: number }
  | { readonly of: string; readonly over: string; readonly atMostMore: number }
  | { readonly of: string; readonly over: string; readonly cpuAtMost: number }
  | { readonly of: string; readonly within: number }
  | { readonly of: string; readonly mebibytesAboveIdle: number };

export interface Workload {
  /** For `--workload`. */
  readonly name: string;
  /** For people. */
  readonly title: string;
  readonly contenders: readonly Contender[];
  /** Name of the contender that the others are measured by. Where the figures are amounts, nothing is measured by it. */
  readonly base: string;
  /** From the table in goals.ts. */
  readonly goals: readonly Goal[];
  readonly full: Size;
  readonly smoke: Size;
  /** Puts something between the contenders and the database of the URL. */
  readonly way?: ((databaseUrl: string) => Promise<Way>) | undefined;
  /** Runs once before the contenders open. */
  readonly fixtures?: ((size: Size) => string) | undefined;
  /**
   * Where the difference to the base is the point: nanoseconds that an operation may cost more. The figure of the
   * workload is then the share of this budget instead of a ratio.
   */
  readonly budget?: number | undefined;
  /** Where the figures are amounts, told by the contenders themselves: what is counted. */
  readonly unit?: string | undefined;
  /** False: the work is done by other processes, and a profile would show that the contender waits. */
  readonly profile?: boolean | undefined;
  /** Milliseconds that a contender may take for one round. Default 120,000. */
  readonly patience?: number | undefined;
  /**
   * Processes of the base and of those whom a goal names, one after the other, where what V8 makes of one of them differs
   * by more than what is to be seen. Default 1.
   */
  readonly processes?: number | undefined;
}

/** True: it is the base of the workload, or a goal names it. */
export function isCompared(
  { base, goals }: Pick<Workload, 'base' | 'goals'>,
  { name }: Pick<Contender, 'name'>,
): boolean {
  return name === base || goals.some((goal) => goal.of === name || ('over' in goal && goal.over === name));
}
