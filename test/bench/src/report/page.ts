import type { Environment } from '../environment.js';
import type { Report, WorkloadReport } from './report.js';
import { markdownTable, type Table } from './table.js';
import { figuresTable, goalsTable, profileLine } from './workload-tables.js';

const INTRODUCTION = `# Benchmarks

Written by \`npm run bench -- --write\`: do not edit. Every figure is a **ratio** to the base of its workload, which is what an
experienced user of \`pg\` writes by hand; below 1 is faster. Durations are not shown, because they say more about the machine than about
the code. What was missed, what the profile shows and what was tried stands in [benchmarks-notes.md](benchmarks-notes.md).`;

const METHOD = `## How it is measured

Every contender runs in a process of its own, against one PostgreSQL on the same machine. Their rounds are interleaved (A B C, B C A, …), and
each round is compared with the base in the same round; _ratio_ is the median of that, _spread_ the quartiles around it. _CPU_ is the same for the CPU time of
the contender's process. _peak_ is the most memory of that process in MiB, _above idle_ what this is more than when it had opened its pool and done
nothing. Results are checked: rows in full once, sums in each round, and what was written by a look at the tables. _The base once more_ is
a second process of the base: how far it is from 1 is how far the figures can be trusted. Every client is used as its documentation
recommends, with prepared statements where it has them and pools of 10 connections. _Where the time goes_ is one more round under V8's profiler, after
those that are measured; what the server needs is waiting.`;

/** The page docs/benchmarks.md. */
export function writePage(report: Report): string {
  const { date, environment, workloads } = report;
  return `${[
    INTRODUCTION,
    '![Bars of the ratios by workload](benchmarks.svg)',
    '## Where and when',
    markdownTable(environmentTable(date, environment)),
    '## The figures to reach',
    markdownTable(
      goalsTable(
        workloads.flatMap(({ title, goals }) =>
          goals.map((goal) => ({ ...goal, text: `${title}: ${goal.text}` })),
        ),
      ),
    ),
    ...workloads.map(writeWorkload),
    METHOD,
  ].join('\n\n')}\n`;
}

function writeWorkload(report: WorkloadReport): string {
  const { title, name, base, rounds, figure, profile, failures } = report;
  const share =
    figure === 'share' ? ' The figure is the share used of what it may cost more than the base.' : '';
  const about = `\`--workload ${name}\`; base: ${base}; ${rounds} rounds.${share}`;
  const failed = failures.map((failure) => `Failed: ${failure.split('\n', 1)[0] ?? ''}`);
  const looked = profile === undefined ? [] : [profileLine(profile)];
  return [`## ${title}`, about, markdownTable(figuresTable(report)), ...looked, ...failed].join('\n\n');
}

function environmentTable(date: string, environment: Environment): Table {
  const { processors, memory, platform, node, postgresql, versions } = environment;
  const packages = Object.entries(versions).map(([name, version]) => [name, version]);
  return {
    headings: ['', ''],
    rows: [
      ['date', date],
      ['processors', processors],
      ['memory', `${memory} GiB`],
      ['platform', platform],
      ['Node.js', node],
      ['PostgreSQL', postgresql],
      ...packages,
    ],
  };
}
