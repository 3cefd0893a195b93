import type { GoalReport, ProfileReport, WorkloadReport } from './report.js';
import { plainTable, type Table } from './table.js';

/** Who took how much of what the base takes. */
export function figuresTable({ contenders, figure }: Pick<WorkloadReport, 'contenders' | 'figure'>): Table {
  const wall = figure === 'ratio' ? 'ratio' : 'share';
  return {
    headings: ['', wall, 'spread', 'CPU', 'peak MiB', 'above idle'],
    rows: contenders.map(({ name, wall: own, spread: [low, high], cpu, peak, aboveIdle }) => [
      name,
      own.toFixed(2),
      `${low.toFixed(2)}–${high.toFixed(2)}`,
      cpu.toFixed(2),
      String(peak),
      String(aboveIdle),
    ]),
  };
}

export function goalsTable(goals: readonly GoalReport[]): Table {
  return {
    headings: ['goal', 'found', ''],
    rows: goals.map(({ text, value, isMet }) => [text, formatValue(value), isMet ? 'met' : 'missed']),
  };
}

/** One workload of a smoke run for a terminal. */
export function printSmoke({ name, contenders, failures }: WorkloadReport): string {
  const right = `${name}: right results of ${contenders.map((contender) => contender.name).join('; ')}`;
  return [right, ...failures.map((failure) => `FAILED ${failure}`)].join('\n');
}

/** One workload for a terminal. */
export function printWorkload(report: WorkloadReport): string {
  const { title, name, base, rounds, changes, goals, profile, failures } = report;
  const head = `${title}  (${name}; base: ${base}; median of ${rounds} round${rounds === 1 ? '' : 's'})`;
  const parts = [head, plainTable(figuresTable(report))];
  if (changes.length > 0)
    parts.push(
      'Beside the build before:',
      plainTable(figuresTable({ contenders: changes, figure: 'ratio' })),
    );
  if (profile !== undefined) parts.push(profileLine(profile));
  if (goals.length > 0) parts.push(plainTable(goalsTable(goals)));
  parts.push(...failures.map((failure) => `FAILED ${failure}`));
  return parts.join('\n\n');
}

/** One sentence about where the time goes: parts of one per cent and more. */
export function profileLine({ of, parts }: ProfileReport): string {
  const shares = Object.entries(parts)
    .toSorted(([, one], [, other]) => other - one)
    .filter(([, share]) => share >= 0.01)
    .map(([part, share]) => `${part} ${Math.round(share * 100)} %`);
  return `Where the time of ${of} goes: ${shares.join(', ')}.`;
}

function formatValue(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(2);
}
