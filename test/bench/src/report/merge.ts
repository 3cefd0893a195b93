import { WORKLOADS } from '../workloads/index.js';
import type { Report, WorkloadReport } from './report.js';

/** One report for each version of Node.js. Of a workload that was run more than once the last one counts. */
export function merge(reports: readonly Report[]): Report[] {
  const byNode = new Map<string, Report>();
  for (const report of reports) {
    const { node } = report.environment;
    const before = byNode.get(node);
    byNode.set(node, { ...report, workloads: inOrder([...(before?.workloads ?? []), ...report.workloads]) });
  }
  return [...byNode.values()].toSorted((one, other) => majorOf(one) - majorOf(other));
}

function inOrder(workloads: readonly WorkloadReport[]): WorkloadReport[] {
  const last = [...new Map(workloads.map((workload) => [workload.name, workload])).values()];
  const place = ({ name }: WorkloadReport): number => {
    const found = WORKLOADS.findIndex((workload) => workload.name === name);
    return found === -1 ? WORKLOADS.length : found;
  };
  return last.toSorted((one, other) => place(one) - place(other));
}

/** Of the Node.js. */
export function majorOf({ environment }: Report): number {
  return Number.parseInt(environment.node, 10);
}
