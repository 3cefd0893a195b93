import { majorOf } from './merge.js';
import type { ContenderReport, Report, WorkloadReport } from './report.js';
import { escape, roundedPixels, svgOf } from './svg.js';

// An SVG by hand: a bar for each contender from the base line at 1, to the left where it took less, to the right where
// it took more. The scale is logarithmic, so that half and double are equally far.

const OURS = /nest-async-engine|AsyncConnection|@Transactional|engine\.transaction/;
const WIDTH = 860;
const LABEL_WIDTH = 250;
const RIGHT = WIDTH - 70;
const BAR = 14;
const ROW = 20;
const GROUP_HEAD = 34;
const TOP = 84;
/** Powers of two at the ends of the axis; what is beyond is cut and keeps its number. */
const LOWEST = -3;
const HIGHEST = 4;
const TICKS = ['⅛', '¼', '½', '1', '2', '4', '8', '16'];

/** Workloads whose figure is no ratio are left to the tables. */
export function drawChart(report: Report): string {
  const { workloads, date } = report;
  const groups = workloads.filter(({ figure, contenders }) => figure === 'ratio' && contenders.length > 1);
  const heights = groups.map(({ contenders }) => GROUP_HEAD + contenders.length * ROW);
  const bottom = TOP + heights.reduce((sum, height) => sum + height, 0);
  const starts = heights.map(
    (_, index) => TOP + heights.slice(0, index).reduce((sum, height) => sum + height, 0),
  );
  const body = groups.map((group, index) => drawGroup(group, starts[index] ?? TOP));
  return svgOf({
    width: WIDTH,
    height: bottom + 40,
    title: `Time taken on Node.js ${majorOf(report)}, as a ratio to the base of each workload`,
    note: `Left of 1 is faster than the base. Logarithmic scale; medians; ${date}.`,
    body: [...drawAxis(bottom), ...body],
  });
}

function drawAxis(bottom: number): string[] {
  return TICKS.flatMap((label, index) => {
    const x = xOf(2 ** (LOWEST + index));
    const kind = label === '1' ? 'base' : 'grid';
    return [
      `<line class="${kind}" x1="${x}" y1="${TOP - 8}" x2="${x}" y2="${bottom + 10}"/>`,
      `<text class="quiet" x="${x}" y="${TOP - 14}" text-anchor="middle">${label}</text>`,
      `<text class="quiet" x="${x}" y="${bottom + 26}" text-anchor="middle">${label}</text>`,
    ];
  });
}

function drawGroup({ title, base, contenders }: WorkloadReport, top: number): string {
  const head = `<text class="group" x="20" y="${top + 22}">${escape(title)} <tspan class="quiet">· base: ${escape(base)}</tspan></text>`;
  return [
    head,
    ...contenders.map((contender, index) => drawBar(contender, top + GROUP_HEAD + index * ROW)),
  ].join('\n');
}

function drawBar({ name, wall }: ContenderReport, top: number): string {
  const one = xOf(1);
  const end = xOf(wall);
  const x = Math.min(one, end);
  const width = Math.max(1, Math.abs(end - one));
  const kind = OURS.test(name) ? 'ours' : 'peer';
  const isLeft = end < one;
  const text = isLeft ? `x="${end - 5}" text-anchor="end"` : `x="${end + 5}"`;
  return [
    `<text x="${LABEL_WIDTH}" y="${top + 11}" text-anchor="end">${escape(name)}</text>`,
    `<rect class="${kind}" x="${x}" y="${top}" width="${roundedPixels(width)}" height="${BAR}" rx="2"/>`,
    `<text class="quiet" ${text} y="${top + 11}">${wall.toFixed(2)}</text>`,
  ].join('\n');
}

function xOf(ratio: number): number {
  const power = Math.min(HIGHEST, Math.max(LOWEST, Math.log2(ratio)));
  const left = LABEL_WIDTH + 50;
  return roundedPixels(left + ((power - LOWEST) / (HIGHEST - LOWEST)) * (RIGHT - left));
}
