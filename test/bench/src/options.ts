import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { BenchmarkError } from './benchmark-error.js';
import { nodeProgram, OWN_NODE, type NodeProgram } from './node-program.js';
import type { Workload } from './workload.js';
import { WORKLOADS } from './workloads/index.js';
import { longRunOf } from './workloads/long-run.js';

export const HELP = `npm run bench -- [options]

  --workload <name>   only this one; may be repeated
  --peer <name>       only this peer, beside the base of each workload; may be repeated; a part of the name is enough
  --rounds <n>        measured rounds, after those that warm up (default 5, or what a workload says)
  --processes <n>     processes of each contender, one after the other, whose rounds count together (default 1, or
                      what a workload says, for its base and those whom a goal names)
  --node <majors>     a table for each of these versions of Node.js: --node 20,22,24,26 (default: the one that runs this)
  --before <folder>   beside each contender that uses the library, the same with the build in that folder
  --smoke             as little of everything as proves that it works; the figures mean nothing
  --long <minutes>    500 requests a second for so long, instead of the workloads that --workload does not name
  --json <file>       writes the results there
  --from <file> …     takes results written by --json instead of measuring, and puts those of several files together
  --write             writes docs/benchmarks.md and its pictures
  --help              this

BENCH_DATABASE_URL names a server whose user may create databases; else one is started.

Workloads: ${WORKLOADS.map(({ name }) => name).join(', ')}
`;

export interface Options {
  readonly workloads: readonly Workload[];
  readonly peers: readonly string[] | undefined;
  readonly rounds: number | undefined;
  readonly processes: number | undefined;
  readonly nodes: readonly NodeProgram[];
  /** URL of a folder, with a slash at its end. */
  readonly before: string | undefined;
  readonly smoke: boolean;
  readonly json: string | undefined;
  /** Empty: measure. */
  readonly from: readonly string[];
  readonly write: boolean;
  readonly help: boolean;
}

/** @throws BenchmarkError for what nobody can mean, before anything runs. */
export function parseOptions(args: readonly string[]): Options {
  const { workload, peer, rounds, processes, node, before, long, ...rest } = readArguments(args);
  const options = {
    workloads: [...workloadsOf(workload, long), ...longWorkloadOf(long)],
    peers: peer,
    rounds: countOf('--rounds', rounds),
    processes: countOf('--processes', processes),
    nodes: node?.split(',').map(nodeProgram) ?? [OWN_NODE],
    before: folderOf(before),
    ...rest,
  };
  checkPeers(options);
  if (options.write && options.smoke) {
    throw new BenchmarkError('--write with --smoke would publish figures that mean nothing. Leave one out.');
  }
  return options;
}

function readArguments(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        workload: { type: 'string', multiple: true },
        peer: { type: 'string', multiple: true },
        rounds: { type: 'string' },
        processes: { type: 'string' },
        node: { type: 'string' },
        before: { type: 'string' },
        long: { type: 'string' },
        smoke: { type: 'boolean', default: false },
        json: { type: 'string' },
        from: { type: 'string', multiple: true, default: [] },
        write: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const [stray] = positionals;
    if (stray !== undefined && values.from.length === 0) throw new Error(`'${stray}' belongs to no option`);
    return { ...values, json: values.json, from: [...values.from, ...positionals] };
  } catch (error) {
    throw new BenchmarkError(`${error instanceof Error ? error.message : String(error)}. See --help.`);
  }
}

function workloadsOf(names: readonly string[] | undefined, long: string | undefined): readonly Workload[] {
  if (names === undefined) return long === undefined ? WORKLOADS : [];
  const unknown = names.find((name) => !WORKLOADS.some((workload) => workload.name === name));
  if (unknown !== undefined)
    throw new BenchmarkError(`there is no workload '${unknown}'. --help lists them.`);
  return WORKLOADS.filter(({ name }) => names.includes(name));
}

function countOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new BenchmarkError(`${option} got '${text}'; it takes an integer from 1 to 9999.`);
}

function longWorkloadOf(text: string | undefined): readonly Workload[] {
  const minutes = countOf('--long', text);
  return minutes === undefined ? [] : [longRunOf(minutes)];
}

function folderOf(before: string | undefined): string | undefined {
  if (before === undefined) return undefined;
  const folder = path.resolve(before);
  if (existsSync(path.join(folder, 'dist'))) return pathToFileURL(`${folder}/`).href;
  throw new BenchmarkError(`--before got '${before}', where no dist is. Build the library there first.`);
}

function checkPeers({ peers, workloads }: Pick<Options, 'peers' | 'workloads'>): void {
  const names = workloads.flatMap(({ contenders }) => contenders.map(({ name }) => name.toLowerCase()));
  const unknown = peers?.find((peer) => !names.some((name) => name.includes(peer.toLowerCase())));
  if (unknown === undefined) return;
  throw new BenchmarkError(
    `no peer of these workloads is called '${unknown}'. Known: ${[...new Set(names)].join(', ')}.`,
  );
}
