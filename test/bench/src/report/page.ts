import { majorOf } from './merge.js';
import { chartFile, GOALS_PICTURE } from './pictures.js';
import type { Report, WorkloadReport } from './report.js';
import { markdownTable, type Table } from './table.js';
import { figuresTable, foundOf, profileLine } from './workload-tables.js';

const INTRODUCTION = `# Benchmarks

Written by \`npm run bench -- --write\`: do not edit. Every figure is a **ratio** to the base of its workload, which is what an
experienced user of \`pg\` writes by hand (below 1 is faster), or a count. Durations are not shown, because they say more about the machine
than about the code. What was missed, what the profile shows and what was tried stands in [benchmarks-notes.md](benchmarks-notes.md).`;

const METHOD = `## How it is measured

Every contender runs in a process of its own, against one PostgreSQL on the same machine. Their rounds are interleaved (A B C, B C A, …), and
each round is compared with the base in the same round; _ratio_ is the median of that, _spread_ the quartiles around it. _CPU_ is the same for the CPU time of
the contender's process, and _cold_ that of the very first round. What counts comes after enough calls for V8 to have optimized the code, which takes more of
them on Node.js 24 than on 20. _peak_ is the most memory of that process in MiB, _above idle_ what this is more than when it had opened its pool and done
nothing. Results are checked: rows in full once, sums in each round, and what was written by a look at the tables. _The base once more_ is
a second process of the base: how far it is from 1 is how far the figures can be trusted. Every client is used as its documentation
recommends, with prepared statements where it has them and pools of 10 connections. _Where the time goes_ is one more round under V8's profiler, after
those that are measured; what the server needs is waiting. _floor_ is no client: messages encoded by hand in the fewest round trips, and answers of which
hardly more is read than the workload needs. Where one process of a contender differs much from the next, the base and those whom a goal names run in
several, one set after the other, and the number of rounds is that of all their sets.`;

/** The page docs/benchmarks.md, from one report for each version of Node.js. */
export function writePage(reports: readonly Report[]): string {
  const names = [...new Set(reports.flatMap(({ workloads }) => workloads.map(({ name }) => name)))];
  return `${[
    INTRODUCTION,
    `![How far each figure is from its goal](${GOALS_PICTURE})`,
    '## Where and when',
    markdownTable(environmentTable(reports)),
    '## The figures to reach',
    markdownTable(goalsTable(reports)),
    '## The ratios as bars',
    ...reports.map((report) => `![Bars of the ratios on Node.js ${majorOf(report)}](${chartFile(report)})`),
    ...names.map((name) => writeWorkload(name, reports)),
    METHOD,
  ].join('\n\n')}\n`;
}

/** A table for each version. */
function writeWorkload(name: string, reports: readonly Report[]): string {
  const found = reports.flatMap((report) => {
    const workload = report.workloads.find((candidate) => candidate.name === name);
    return workload === undefined ? [] : [{ node: `Node.js ${majorOf(report)}`, workload }];
  });
  const title = found[0]?.workload.title ?? name;
  return [`## ${title}`, ...found.flatMap(({ node, workload }) => writeRun(node, workload))].join('\n\n');
}

function writeRun(node: string, report: WorkloadReport): string[] {
  const { name, base, rounds, figure, profile, failures, absences } = report;
  const share =
    figure === 'share' ? ' The figure is the share used of what it may cost more than the base.' : '';
  const measure = figure === 'amount' ? '' : ` base: ${base};`;
  return [
    `**${node}.** \`--workload ${name}\`;${measure} ${rounds} round${rounds === 1 ? '' : 's'}.${share}`,
    ...(report.contenders.length === 0 ? [] : [markdownTable(figuresTable(report))]),
    ...(profile === undefined ? [] : [profileLine(profile)]),
    ...absences.map((absence) => `Absent: ${absence}`),
    ...failures.map((failure) => `Failed: ${failure.split('\n', 1)[0] ?? ''}`),
  ];
}

/** A column for each version of Node.js. */
function goalsTable(reports: readonly Report[]): Table {
  const found = new Map<string, string[]>();
  for (const [column, { workloads }] of reports.entries()) {
    for (const { title, goals } of workloads) {
      for (const goal of goals) {
        const text = `${title}: ${goal.text}`;
        const cells = found.get(text) ?? reports.map(() => '');
        cells[column] = foundOf(goal);
        found.set(text, cells);
      }
    }
  }
  return {
    headings: ['goal', ...reports.map((report) => `Node.js ${majorOf(report)}`)],
    rows: [...found].map(([text, cells]) => [text, ...cells]),
  };
}

function environmentTable(reports: readonly Report[]): Table {
  const rows = reports.map(({ date, environment }) => {
    const { processors, memory, platform, node, postgresql, versions } = environment;
    const machine = { date, processors, memory: `${memory} GiB`, platform, 'Node.js': node };
    return new Map(Object.entries({ ...machine, PostgreSQL: postgresql, ...versions }));
  });
  const names = [...new Set(rows.flatMap((row) => [...row.keys()]))];
  return {
    headings: ['', ...rows.map(() => '')],
    rows: names.map((name) => [name, ...rows.map((row) => row.get(name) ?? '')]),
  };
}
