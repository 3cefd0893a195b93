import type { Goal, Workload } from '../workload.js';
import type { ContenderReport, GoalReport } from './report.js';

type Compared = Extract<Goal, { readonly over: string }>;
type Alone = Exclude<Goal, Compared>;

const FARTHEST = 100;

/** Leaves out the goals of contenders that did not take part. */
export function judge(workload: Workload, contenders: readonly ContenderReport[]): GoalReport[] {
  return workload.goals.flatMap((goal) => {
    const own = contenders.find(({ name }) => name === goal.of);
    if (own === undefined) return [];
    if (!('over' in goal)) return [judgeAlone(goal, own, workload)];
    const other = contenders.find(({ name }) => name === goal.over);
    return other === undefined ? [] : [judgeBeside(goal, own, other)];
  });
}

function judgeBeside(goal: Compared, own: ContenderReport, other: ContenderReport): GoalReport {
  const { of, over } = goal;
  if ('cpuAtMost' in goal) {
    return atMost(
      `${of} at most ${goal.cpuAtMost.toFixed(2)} × the CPU of ${over}`,
      own.cpu / other.cpu,
      goal.cpuAtMost,
    );
  }
  if ('atMostMore' in goal) {
    return atMost(
      `${of} at most ${goal.atMostMore} more than ${over}`,
      own.wall - other.wall,
      goal.atMostMore,
    );
  }
  const value = own.wall / other.wall;
  if ('atMost' in goal)
    return atMost(`${of} at most ${goal.atMost.toFixed(2)} × ${over}`, value, goal.atMost);
  const limit = goal.atLeast;
  return atLeast(`${of} at least ${limit} × ${over}`, value, limit);
}

function judgeAlone(goal: Alone, { wall, aboveIdle }: ContenderReport, workload: Workload): GoalReport {
  const { base, budget, unit } = workload;
  if ('mebibytesAboveIdle' in goal) {
    const limit = goal.mebibytesAboveIdle;
    return atMost(`${goal.of} at most ${limit} MiB above idle`, aboveIdle, limit);
  }
  if ('within' in goal) {
    const text = `${goal.of} within ${goal.within * 100} % of ${base}`;
    return { ...atMost(text, Math.abs(wall - 1), goal.within), value: wall };
  }
  if ('atLeast' in goal) {
    const limit = goal.atLeast;
    return atLeast(`${goal.of} at least ${limit}`, wall, limit);
  }
  if (unit !== undefined)
    return atMost(`${goal.of} at most ${goal.atMost} ${unit}`.trimEnd(), wall, goal.atMost);
  const measure = budget === undefined ? `of ${base}` : `of ${budget / 1_000} µs above ${base}`;
  return atMost(`${goal.of} at most ${goal.atMost.toFixed(2)} ${measure}`, wall, goal.atMost);
}

function atMost(text: string, value: number, limit: number): GoalReport {
  return { text, value, distance: distanceOf(value, limit), isMet: value <= limit };
}

function atLeast(text: string, value: number, limit: number): GoalReport {
  return { text, value, distance: distanceOf(limit, value), isMet: value >= limit };
}

/** Where nothing is allowed, something is as far away as can be. */
function distanceOf(value: number, limit: number): number {
  if (value <= 0) return 0;
  return Math.min(FARTHEST, limit <= 0 ? FARTHEST : value / limit);
}
