import type { Environment } from '../environment.js';
import type { Profile } from '../profile.js';

/**
 * What one run found out on one version of Node.js: `--json` writes a list of them, and tables, page and charts are
 * made of it. It holds no durations.
 */
export interface Report {
  /** Day of the run, as YYYY-MM-DD. */
  readonly date: string;
  /** A smoke run proves that all work; its figures mean nothing. */
  readonly smoke: boolean;
  readonly environment: Environment;
  readonly workloads: readonly WorkloadReport[];
}

export interface WorkloadReport {
  readonly name: string;
  readonly title: string;
  readonly base: string;
  readonly rounds: number;
  /** `ratio` to the base; the `share` of a budget by which the base may be exceeded; or an `amount`, which is no ratio. */
  readonly figure: 'ratio' | 'share' | 'amount';
  /** What the amounts count. */
  readonly unit?: string | undefined;
  readonly contenders: readonly ContenderReport[];
  /** With `--before`: the ratio of each to itself with the other build. */
  readonly changes: readonly ContenderReport[];
  readonly goals: readonly GoalReport[];
  /** Of the contender that the goals are about. */
  readonly profile?: ProfileReport | undefined;
  /** What went wrong, by contender. */
  readonly failures: readonly string[];
  /** Who could not take part on that machine, and why. */
  readonly absences: readonly string[];
}

/** Where the time of a contender went, waiting included. */
export interface ProfileReport {
  readonly of: string;
  readonly parts: Profile;
}

export interface ContenderReport {
  readonly name: string;
  /** Median over the rounds; each is compared with the base in the same round, where it is no amount. */
  readonly wall: number;
  /** The quartiles around it. */
  readonly spread: readonly [number, number];
  /** CPU time of the contender's process, compared in the same way. */
  readonly cpu: number;
  /** The same for the first round, whose code was cold, where that does not count. */
  readonly cold?: number | undefined;
  /** MiB at most. */
  readonly peak: number;
  /** MiB at most above what the process had when it was open and had done nothing. */
  readonly aboveIdle: number;
}

/** A figure to reach, and whether it was. */
export interface GoalReport {
  readonly text: string;
  readonly value: number;
  /** 1: exactly the goal; below: better. At most 100. */
  readonly distance: number;
  readonly isMet: boolean;
}
