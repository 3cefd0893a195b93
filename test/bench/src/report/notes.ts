import { BenchmarkError } from '../benchmark-error.js';
import { REASONS } from '../reasons.js';
import { majorOf } from './merge.js';
import type { GoalReport, Report } from './report.js';
import { formatValue } from './workload-tables.js';

const BEGIN = '<!-- written by npm run bench: begin -->';
const END = '<!-- written by npm run bench: end -->';

/** One goal, with what was found on each Node.js. */
interface Found {
  readonly text: string;
  readonly on: string[];
}

/**
 * The notes with their generated part written anew: each goal, reached or by how much missed on which Node.js, and
 * why.
 *
 * @throws BenchmarkError for a page without the marks of that part.
 */
export function writeNotes(reports: readonly Report[], notes: string): string {
  const [begin, end] = [notes.indexOf(BEGIN), notes.indexOf(END)];
  if (begin === -1 || end < begin)
    throw new BenchmarkError(`benchmarks-notes.md lacks '${BEGIN}' or '${END}'. Add both.`);
  const names = [...new Set(reports.flatMap(({ workloads }) => workloads.map(({ name }) => name)))];
  const parts = names.map((name) => writeWorkload(name, reports));
  return [notes.slice(0, begin) + BEGIN, ...parts, notes.slice(end)].join('\n\n');
}

function writeWorkload(name: string, reports: readonly Report[]): string {
  const goals = new Map<string, Found>();
  let title = name;
  for (const report of reports) {
    const workload = report.workloads.find((candidate) => candidate.name === name);
    title = workload?.title ?? title;
    for (const goal of workload?.goals ?? []) {
      const found = goals.get(goal.text) ?? { text: goal.text, on: [] };
      found.on.push(`${formatValue(goal.value)} on Node.js ${majorOf(report)} (${verdictOf(goal)})`);
      goals.set(goal.text, found);
    }
  }
  const lines = [...goals.values()].map(({ text, on }) => `- ${text}: ${on.join(', ')}.`);
  return [`### ${title}`, lines.join('\n'), REASONS[name] ?? ''].join('\n\n');
}

function verdictOf({ isMet, distance }: GoalReport): string {
  return isMet ? 'reached' : `missed by ${Math.round((distance - 1) * 100)} %`;
}
