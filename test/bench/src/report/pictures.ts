import { drawChart } from './chart.js';
import { drawGoals } from './goals-chart.js';
import { majorOf } from './merge.js';
import { drawOverload } from './overload-chart.js';
import type { Report } from './report.js';

export interface PictureFile {
  readonly file: string;
  readonly svg: string;
}

export const GOALS_PICTURE = 'benchmarks-goals.svg';

/** Of the ratios on that version of Node.js. */
export function chartFile(report: Report): string {
  return `benchmarks-node-${majorOf(report)}.svg`;
}

/** The pictures of the page and of the guide to overload, by their place in docs. */
export function drawPictures(reports: readonly Report[]): PictureFile[] {
  const overload = reports[0]?.workloads.find(({ name }) => name === 'overload');
  return [
    ...(overload === undefined ? [] : [{ file: 'guide/overload.svg', svg: drawOverload(overload) }]),
    { file: GOALS_PICTURE, svg: drawGoals(reports) },
    ...reports.map((report) => ({ file: chartFile(report), svg: drawChart(report) })),
  ];
}
