import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as prettier from 'prettier';
import { BenchDatabase } from './bench-database.js';
import { BenchmarkError } from './benchmark-error.js';
import { describeEnvironment } from './environment.js';
import { HELP, parseOptions, type Options } from './options.js';
import { drawChart } from './report/chart.js';
import { writePage } from './report/page.js';
import type { Report, WorkloadReport } from './report/report.js';
import { printSmoke, printWorkload } from './report/workload-tables.js';
import { runWorkload } from './runner.js';

const docs = new URL('../../../docs/', import.meta.url);

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) return void process.stdout.write(HELP);
  const report = options.from === undefined ? await measure(options) : readReport(options.from);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
  if (options.write) await publish(report);
  // A goal that is missed is a figure like any other; a contender that fails is not.
  if (report.workloads.some(({ failures }) => failures.length > 0)) process.exitCode = 1;
}

async function measure(options: Options): Promise<Report> {
  const { workloads, smoke, rounds, peers, before } = options;
  const database = await BenchDatabase.open(process.env['BENCH_DATABASE_URL']);
  const progress = (line: string): void => void process.stderr.write(`… ${line}\n`);
  try {
    const reports: WorkloadReport[] = [];
    for (const workload of workloads) {
      const report = await runWorkload(workload, {
        databaseUrl: database.url,
        smoke,
        rounds,
        peers,
        before,
        progress,
      });
      process.stdout.write(smoke ? `${printSmoke(report)}\n` : `\n${printWorkload(report)}\n\n`);
      reports.push(report);
    }
    const date = new Date().toISOString().slice(0, 10);
    return { date, smoke, environment: describeEnvironment(database.version), workloads: reports };
  } finally {
    await database.close();
  }
}

function readReport(file: string): Report {
  const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
  for (const workload of report.workloads) process.stdout.write(`\n${printWorkload(workload)}\n\n`);
  return report;
}

async function publish(report: Report): Promise<void> {
  if (report.smoke)
    throw new BenchmarkError('these are the figures of a smoke run, which mean nothing. Run it in full.');
  const page = fileURLToPath(new URL('benchmarks.md', docs));
  const style = (await prettier.resolveConfig(page)) ?? {};
  writeFileSync(page, await prettier.format(writePage(report), { ...style, filepath: page }));
  writeFileSync(new URL('benchmarks.svg', docs), drawChart(report));
}

try {
  await main();
} catch (error) {
  process.stderr.write(
    `${error instanceof BenchmarkError ? error.message : String((error as Error).stack ?? error)}\n`,
  );
  process.exitCode = 1;
}
