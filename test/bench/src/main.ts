import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as prettier from 'prettier';
import { BenchDatabase } from './bench-database.js';
import { BenchmarkError } from './benchmark-error.js';
import { describeEnvironment } from './environment.js';
import { HELP, parseOptions, type Options } from './options.js';
import type { NodeProgram } from './node-program.js';
import { drawPictures } from './report/pictures.js';
import { merge } from './report/merge.js';
import { writeNotes } from './report/notes.js';
import { writePage } from './report/page.js';
import type { Report, WorkloadReport } from './report/report.js';
import { printSmoke, printWorkload } from './report/workload-tables.js';
import { runWorkload } from './runner.js';

const docs = new URL('../../../docs/', import.meta.url);

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) return void process.stdout.write(HELP);
  const reports =
    options.from.length === 0 ? await measure(options) : merge(options.from.flatMap(readReports));
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(reports, null, 2)}\n`);
  if (options.write) await publish(reports);
  // A goal that is missed is a figure like any other; a contender that fails is not.
  const failures = reports.flatMap(({ workloads }) => workloads.flatMap((workload) => workload.failures));
  if (failures.length > 0) process.exitCode = 1;
}

async function measure(options: Options): Promise<Report[]> {
  const reports: Report[] = [];
  for (const node of options.nodes) reports.push(await measureOn(node, options));
  return reports;
}

async function measureOn(node: NodeProgram, options: Options): Promise<Report> {
  const { workloads, smoke, rounds, processes, peers, before, nodes } = options;
  const database = await BenchDatabase.open(process.env['BENCH_DATABASE_URL']);
  if (nodes.length > 1) process.stdout.write(`\nNode.js ${node.version}\n`);
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
        processes,
        node: node.path,
        progress,
      });
      process.stdout.write(smoke ? `${printSmoke(report)}\n` : `\n${printWorkload(report)}\n\n`);
      reports.push(report);
    }
    const date = new Date().toISOString().slice(0, 10);
    return {
      date,
      smoke,
      environment: describeEnvironment(database.version, node.version),
      workloads: reports,
    };
  } finally {
    await database.close();
  }
}

function readReports(file: string): Report[] {
  const reports = JSON.parse(readFileSync(file, 'utf8')) as Report[];
  for (const { environment, workloads } of reports) {
    process.stdout.write(`\nNode.js ${environment.node}\n`);
    for (const workload of workloads) process.stdout.write(`\n${printWorkload(workload)}\n\n`);
  }
  return reports;
}

async function publish(reports: readonly Report[]): Promise<void> {
  if (reports.some(({ smoke }) => smoke))
    throw new BenchmarkError('these are the figures of a smoke run, which mean nothing. Run it in full.');
  const page = fileURLToPath(new URL('benchmarks.md', docs));
  const style = (await prettier.resolveConfig(page)) ?? {};
  writeFileSync(page, await prettier.format(writePage(reports), { ...style, filepath: page }));
  for (const old of readdirSync(docs)) if (/^benchmarks.*\.svg$/.test(old)) rmSync(new URL(old, docs));
  const notes = fileURLToPath(new URL('benchmarks-notes.md', docs));
  const written = writeNotes(reports, readFileSync(notes, 'utf8'));
  writeFileSync(notes, await prettier.format(written, { ...style, filepath: notes }));
  for (const { file, svg } of drawPictures(reports)) writeFileSync(new URL(file, docs), svg);
}

try {
  await main();
} catch (error) {
  process.stderr.write(
    `${error instanceof BenchmarkError ? error.message : String((error as Error).stack ?? error)}\n`,
  );
  process.exitCode = 1;
}
