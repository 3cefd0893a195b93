import { median, quantile } from '../figures.js';
import type { Round } from '../protocol.js';
import type { Workload } from '../workload.js';
import { judge } from './goals.js';
import type { ContenderReport, WorkloadReport } from './report.js';

const MEBIBYTE = 2 ** 20;

/** Name of the contender that does the same with the build of before. */
export function beforeOf(name: string): string {
  return `${name}, before`;
}

/** Turns what the processes measured into what people compare. `firsts`: rounds of cold code, which are not in `measured`. */
export function reportWorkload(
  workload: Workload,
  operations: number,
  measured: ReadonlyMap<string, readonly Round[]>,
  failures: readonly string[],
  firsts: ReadonlyMap<string, Round | undefined> = new Map(),
): WorkloadReport {
  if (workload.unit !== undefined) return reportAmounts(workload, measured, failures);
  const base = measured.get(workload.base) ?? [];
  const compare = comparison(workload.budget, operations);
  const coldOf = (name: string): Pick<ContenderReport, 'cold'> => {
    const [first, baseFirst] = [firsts.get(name), firsts.get(workload.base)];
    if (first === undefined || baseFirst === undefined) return {};
    return { cold: rounded(compare(first.cpu, baseFirst.cpu)) };
  };
  const contenders =
    base.length === 0
      ? []
      : [...measured].map(([name, own]) => ({ ...summarize(name, own, base, compare), ...coldOf(name) }));
  const changes = [...measured].flatMap(([name, own]) => {
    const before = measured.get(beforeOf(name)) ?? [];
    return before.length === 0 ? [] : [summarize(name, own, before, comparison(undefined, operations))];
  });
  return {
    name: workload.name,
    title: workload.title,
    base: workload.base,
    rounds: base.length,
    figure: workload.budget === undefined ? 'ratio' : 'share',
    contenders,
    changes,
    goals: judge(workload, contenders),
    failures,
    absences: [],
  };
}

/** What each contender counted, a row for each thing. */
function reportAmounts(
  workload: Workload,
  measured: ReadonlyMap<string, readonly Round[]>,
  failures: readonly string[],
): WorkloadReport {
  const { name, title, base, unit } = workload;
  const contenders = [...measured.values()].flatMap((rounds) =>
    Object.keys(rounds[0]?.amounts ?? {}).map((thing) => {
      const amounts = rounds.map((round) => round.amounts?.[thing] ?? Number.NaN);
      return { ...summarize(thing, rounds, rounds, (own) => own), ...spreadOf(amounts) };
    }),
  );
  const rounds = Math.max(0, ...[...measured.values()].map(({ length }) => length));
  const goals = judge(workload, contenders);
  return {
    name,
    title,
    base,
    rounds,
    figure: 'amount',
    unit,
    contenders,
    changes: [],
    goals,
    failures,
    absences: [],
  };
}

type Comparison = (own: number, base: number) => number;

function comparison(budget: number | undefined, operations: number): Comparison {
  if (budget === undefined) return (own, base) => own / base;
  return (own, base) => (own - base) / operations / budget;
}

function summarize(
  name: string,
  own: readonly Round[],
  base: readonly Round[],
  compare: Comparison,
): ContenderReport {
  const walls = own.map(({ wall }, round) => compare(wall, base[round]?.wall ?? Number.NaN));
  const cpus = own.map(({ cpu }, round) => compare(cpu, base[round]?.cpu ?? Number.NaN));
  return {
    name,
    ...spreadOf(walls),
    cpu: rounded(median(cpus)),
    peak: Math.round(Math.max(...own.map(({ peak }) => peak)) / MEBIBYTE),
    aboveIdle: Math.round(Math.max(...own.map(({ peak, idle }) => peak - idle)) / MEBIBYTE),
  };
}

function spreadOf(values: readonly number[]): Pick<ContenderReport, 'wall' | 'spread'> {
  return {
    wall: rounded(median(values)),
    spread: [rounded(quantile(values, 0.25)), rounded(quantile(values, 0.75))],
  };
}

function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
