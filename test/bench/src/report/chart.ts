import type { ContenderReport, Report, WorkloadReport } from './report.js';

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

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .title { font-size: 17px; font-weight: 600; } .group { font-weight: 600; } .quiet { fill: #57606a; font-size: 12px; }
  .ours { fill: #0969da; } .peer { fill: #afb8c1; } .base { stroke: #24292f; } .grid { stroke: #eaeef2; }
`;

/** Workloads whose figure is no ratio are left to the tables. */
export function drawChart({ workloads, date }: Report): string {
  const groups = workloads.filter(({ figure, contenders }) => figure === 'ratio' && contenders.length > 1);
  const heights = groups.map(({ contenders }) => GROUP_HEAD + contenders.length * ROW);
  const bottom = TOP + heights.reduce((sum, height) => sum + height, 0);
  const starts = heights.map(
    (_, index) => TOP + heights.slice(0, index).reduce((sum, height) => sum + height, 0),
  );
  const body = groups.map((group, index) => drawGroup(group, starts[index] ?? TOP));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${bottom + 40}" role="img" aria-labelledby="title">`,
    `<style>${STYLE}</style>`,
    `<rect width="${WIDTH}" height="${bottom + 40}" fill="#ffffff"/>`,
    `<text id="title" class="title" x="20" y="32">Time taken, as a ratio to the base of each workload</text>`,
    `<text class="quiet" x="20" y="52">Left of 1 is faster than the base. Logarithmic scale; medians; ${date}.</text>`,
    ...drawAxis(bottom),
    ...body,
    '</svg>\n',
  ].join('\n');
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
    `<rect class="${kind}" x="${x}" y="${top}" width="${round(width)}" height="${BAR}" rx="2"/>`,
    `<text class="quiet" ${text} y="${top + 11}">${wall.toFixed(2)}</text>`,
  ].join('\n');
}

function xOf(ratio: number): number {
  const power = Math.min(HIGHEST, Math.max(LOWEST, Math.log2(ratio)));
  const left = LABEL_WIDTH + 50;
  return round(left + ((power - LOWEST) / (HIGHEST - LOWEST)) * (RIGHT - left));
}

function round(pixels: number): number {
  return Math.round(pixels * 10) / 10;
}

function escape(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}
