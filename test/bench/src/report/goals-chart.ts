import { majorOf } from './merge.js';
import type { GoalReport, Report } from './report.js';
import { escape, roundedPixels, svgOf } from './svg.js';

// How far each figure is from its goal: a point for each version of Node.js, left of the line where the goal is met.

const WIDTH = 1_240;
const LABEL_WIDTH = 800;
const LEFT = LABEL_WIDTH + 30;
const RIGHT = WIDTH - 30;
const ROW = 22;
const TOP = 92;
/** Powers of two at the ends of the axis; what is beyond is drawn at its end. */
const LOWEST = -2;
const HIGHEST = 3;
const TICKS = ['¼', '½', 'goal', '2', '4', '8'];

/** One goal, with what was found by the major version. */
interface Row {
  readonly text: string;
  readonly found: readonly { readonly major: number; readonly goal: GoalReport }[];
}

export function drawGoals(reports: readonly Report[]): string {
  const rows = rowsOf(reports);
  const bottom = TOP + rows.length * ROW;
  const majors = reports.map((report) => `Node.js ${majorOf(report)}`).join(', ');
  return svgOf({
    width: WIDTH,
    height: bottom + 40,
    title: 'The figures to reach, and how far from them',
    note: `A point for each of ${majors}, named by its version; blue is met, orange is missed. Logarithmic scale.`,
    body: [...drawAxis(bottom), ...rows.map(drawRow)],
  });
}

function rowsOf(reports: readonly Report[]): Row[] {
  const rows = new Map<string, Row['found'][number][]>();
  for (const report of reports) {
    for (const { title, goals } of report.workloads) {
      for (const goal of goals) {
        // The library's name in every other line would leave no room for the rest.
        const text = `${title}: ${goal.text}`.replaceAll('nest-async-engine', 'ours');
        rows.set(text, [...(rows.get(text) ?? []), { major: majorOf(report), goal }]);
      }
    }
  }
  return [...rows].map(([text, found]) => ({ text, found }));
}

function drawAxis(bottom: number): string[] {
  return TICKS.flatMap((label, index) => {
    const x = xOf(2 ** (LOWEST + index));
    const kind = label === 'goal' ? 'base' : 'grid';
    return [
      `<line class="${kind}" x1="${x}" y1="${TOP - 8}" x2="${x}" y2="${bottom + 10}"/>`,
      `<text class="quiet" x="${x}" y="${TOP - 14}" text-anchor="middle">${label}</text>`,
    ];
  });
}

function drawRow({ text, found }: Row, index: number): string {
  const y = TOP + index * ROW + ROW / 2;
  const label = `<text class="quiet" x="${LABEL_WIDTH}" y="${y + 4}" text-anchor="end">${escape(text)}</text>`;
  const points = found.map(({ major, goal }, place) => {
    const x = xOf(goal.distance);
    const kind = goal.isMet ? 'ours' : 'missed';
    const up = place % 2 === 0 ? -1 : 9;
    return (
      `<circle class="${kind}" cx="${x}" cy="${y}" r="5"/>` +
      `<text class="quiet" x="${x + 7}" y="${y + up}" font-size="9">${major}</text>`
    );
  });
  return [label, ...points].join('\n');
}

function xOf(ratio: number): number {
  const power = Math.min(HIGHEST, Math.max(LOWEST, Math.log2(ratio)));
  return roundedPixels(LEFT + ((power - LOWEST) / (HIGHEST - LOWEST)) * (RIGHT - LEFT));
}
