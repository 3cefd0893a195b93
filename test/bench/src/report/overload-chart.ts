import type { WorkloadReport } from './report.js';
import { escape, roundedPixels, svgOf } from './svg.js';

const PANEL = { width: 290, height: 190, top: 110 };
const LINE = /^(.+) at ([\d.]+): (answers|p99)/;

/** A figure of a contender at a load. */
interface Point {
  readonly name: string;
  readonly load: number;
  readonly kind: string;
  readonly value: number;
}

interface Panel {
  readonly left: number;
  readonly title: string;
  readonly kind: string;
  readonly top: number;
  readonly step: number;
}

const PANELS: readonly Panel[] = [
  { left: 50, title: 'Answers in time, % of the capacity', kind: 'answers', top: 120, step: 20 },
  { left: 430, title: 'p99 of what was served, in targets', kind: 'p99', top: 24, step: 4 },
];

/** Two panels over the load. */
export function drawOverload({ contenders }: WorkloadReport): string {
  const points = contenders.flatMap(({ name: row, wall }): Point[] => {
    const [, name, load, kind] = LINE.exec(row) ?? [];
    return name === undefined || kind === undefined ? [] : [{ name, load: Number(load), kind, value: wall }];
  });
  const names = [...new Set(points.map(({ name }) => name))];
  const legend = names.map(
    (name, index) =>
      `<line class="line ${kindOf(index)}" x1="${50 + index * 200}" y1="76" x2="${74 + index * 200}" y2="76"/>` +
      `<text x="${82 + index * 200}" y="80">${escape(name)}</text>`,
  );
  return svgOf({
    width: 760,
    height: 370,
    title: 'More callers than the pool can serve',
    note: 'Over the load, in capacities of the pool.',
    body: [...legend, ...PANELS.map((panel) => drawPanel(panel, points, names))],
  });
}

function kindOf(index: number): string {
  return index === 0 ? 'ours' : 'peer';
}

function drawPanel(
  { left, title, kind, top, step }: Panel,
  points: readonly Point[],
  names: readonly string[],
): string {
  const loads = [...new Set(points.map(({ load }) => load))];
  const [least, most] = [Math.min(...loads), Math.max(...loads)];
  const x = (load: number): number => roundedPixels(left + ((load - least) / (most - least)) * PANEL.width);
  const y = (value: number): number =>
    roundedPixels(PANEL.top + PANEL.height * (1 - Math.min(value, top) / top));
  const grid = Array.from({ length: Math.round(top / step) + 1 }, (_, index) => index * step).map(
    (value) =>
      `<line class="grid" x1="${left}" y1="${y(value)}" x2="${left + PANEL.width}" y2="${y(value)}"/>` +
      text(left - 6, y(value) + 4, String(value), 'end'),
  );
  const ticks = loads.map((load) => text(x(load), PANEL.top + PANEL.height + 18, `${load} ×`, 'middle'));
  const curves = names.map((name, index) => {
    const own = points.filter((point) => point.name === name && point.kind === kind);
    const corners = own.map(({ load, value }) => `${x(load)},${y(value)}`).join(' ');
    return `<polyline class="line ${kindOf(index)}" points="${corners}"/>`;
  });
  return [text(left, PANEL.top - 12, title), ...grid, ...ticks, ...curves].join('\n');
}

function text(x: number, y: number, words: string, anchor = 'start'): string {
  return `<text class="quiet" x="${x}" y="${y}" text-anchor="${anchor}">${escape(words)}</text>`;
}
