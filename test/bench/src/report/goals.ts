import type { Goal, Workload } from '../workload.js';
import type { ContenderReport, GoalReport } from './report.js';

/** Leaves out the goals of contenders that did not take part. */
export function judge(workload: Workload, contenders: readonly ContenderReport[]): GoalReport[] {
  return workload.goals.flatMap((goal) => {
    const own = contenders.find(({ name }) => name === goal.of);
    if (own === undefined) return [];
    if (!('over' in goal)) return [judgeAlone(goal, own, workload)];
    const other = contenders.find(({ name }) => name === goal.over);
    if (other === undefined) return [];
    if ('cpuAtMost' in goal) {
      const value = own.cpu / other.cpu;
      const text = `${goal.of} at most ${goal.cpuAtMost.toFixed(2)} × the CPU of ${goal.over}`;
      return [{ text, value, isMet: value <= goal.cpuAtMost }];
    }
    const value = own.wall / other.wall;
    return [
      { text: `${goal.of} at least ${goal.atLeast} × ${goal.over}`, value, isMet: value >= goal.atLeast },
    ];
  });
}

function judgeAlone(
  goal: Exclude<Goal, { readonly over: string }>,
  { wall, aboveIdle }: ContenderReport,
  { base, budget }: Workload,
): GoalReport {
  if ('mebibytesAboveIdle' in goal) {
    const limit = goal.mebibytesAboveIdle;
    return {
      text: `${goal.of} at most ${limit} MiB above idle`,
      value: aboveIdle,
      isMet: aboveIdle <= limit,
    };
  }
  if ('within' in goal) {
    const text = `${goal.of} within ${goal.within * 100} % of ${base}`;
    return { text, value: wall, isMet: Math.abs(wall - 1) <= goal.within };
  }
  const unit = budget === undefined ? `of ${base}` : `of ${budget / 1_000} µs above ${base}`;
  return {
    text: `${goal.of} at most ${goal.atMost.toFixed(2)} ${unit}`,
    value: wall,
    isMet: wall <= goal.atMost,
  };
}
