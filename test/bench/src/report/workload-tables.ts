import type { GoalReport, ProfileReport, WorkloadReport } from './report.js';
import { plainTable, type Table } from './table.js';

/** Who took how much of what the base takes. */
export function figuresTable({
  contenders,
  figure,
  unit,
}: Pick<WorkloadReport, 'contenders' | 'figure' | 'unit'>): Table {
  if (figure === 'amount') {
    return {
      headings: ['', unit === '' || unit === undefined ? 'found' : unit, 'spread'],
      rows: contenders.map(({ name, wall, spread: [low, high] }) => [
        name,
        formatValue(wall),
        `${formatValue(low)}–${formatValue(high)}`,
      ]),
    };
  }
  const wall = figure === 'ratio' ? 'ratio' : 'share';
  return {
    headings: ['', wall, 'spread', 'CPU', 'cold', 'peak MiB', 'above idle'],
    rows: contenders.map(({ name, wall: own, spread: [low, high], cpu, cold, peak, aboveIdle }) => [
      name,
      own.toFixed(2),
      `${low.toFixed(2)}–${high.toFixed(2)}`,
      cpu.toFixed(2),
      cold?.toFixed(2) ?? '',
      String(peak),
      String(aboveIdle),
    ]),
  };
}

function goalsTable(goals: readonly GoalReport[]): Table {
  return {
    headings: ['goal', 'found', ''],
    rows: goals.map(({ text, value, isMet }) => [text, formatValue(value), isMet ? 'met' : 'missed']),
  };
}

/** What was found, and whether it is enough. */
export function foundOf({ value, isMet }: GoalReport): string {
  return isMet ? formatValue(value) : `${formatValue(value)} missed`;
}

/** One workload of a smoke run for a terminal. */
export function printSmoke({ name, contenders, failures, absences }: WorkloadReport): string {
  const right = `${name}: right results of ${contenders.map((contender) => contender.name).join('; ')}`;
  const missing = absences.map((absence) => `absent: ${absence}`);
  return [right, ...missing, ...failures.map((failure) => `FAILED ${failure}`)].join('\n');
}

/** One workload for a terminal. */
export function printWorkload(report: WorkloadReport): string {
  const { title, name, base, rounds, figure, changes, goals, profile, failures, absences } = report;
  const measure = figure === 'amount' ? '' : `base: ${base}; `;
  const head = `${title}  (${name}; ${measure}median of ${rounds} round${rounds === 1 ? '' : 's'})`;
  const parts = [head, plainTable(figuresTable(report))];
  if (changes.length > 0)
    parts.push(
      'Beside the build before:',
      plainTable(figuresTable({ contenders: changes, figure: 'ratio' })),
    );
  if (profile !== undefined) parts.push(profileLine(profile));
  if (goals.length > 0) parts.push(plainTable(goalsTable(goals)));
  parts.push(...absences.map((absence) => `Absent: ${absence}`));
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

export function formatValue(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}
