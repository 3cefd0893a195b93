import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { BenchmarkError } from './benchmark-error.js';
import type { Workload } from './workload.js';
import { WORKLOADS } from './workloads/index.js';

export const HELP = `npm run bench -- [options]

  --workload <name>   only this one; may be repeated
  --peer <name>       only this peer, beside the base of each workload; may be repeated; a part of the name is enough
  --rounds <n>        measured rounds, after one that warms up (default 5, or what a workload says)
  --before <folder>   beside each contender that uses the library, the same with the build in that folder
  --smoke             as little of everything as proves that it works; the figures mean nothing
  --json <file>       writes the results there
  --from <file>       takes results written by --json instead of measuring
  --write             writes docs/benchmarks.md and docs/benchmarks.svg
  --help              this

BENCH_DATABASE_URL names a server whose user may create databases; else one is started.

Workloads: ${WORKLOADS.map(({ name }) => name).join(', ')}
`;

export interface Options {
  readonly workloads: readonly Workload[];
  readonly peers: readonly string[] | undefined;
  readonly rounds: number | undefined;
  /** URL of a folder, with a slash at its end. */
  readonly before: string | undefined;
  readonly smoke: boolean;
  readonly json: string | undefined;
  readonly from: string | undefined;
  readonly write: boolean;
  readonly help: boolean;
}

/** @throws BenchmarkError for what nobody can mean, before anything runs. */
export function parseOptions(args: readonly string[]): Options {
  const { workload, peer, rounds, before, ...rest } = readArguments(args);
  const options = {
    workloads: workloadsOf(workload),
    peers: peer,
    rounds: roundsOf(rounds),
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
    const { values } = parseArgs({
      args: [...args],
      options: {
        workload: { type: 'string', multiple: true },
        peer: { type: 'string', multiple: true },
        rounds: { type: 'string' },
        before: { type: 'string' },
        smoke: { type: 'boolean', default: false },
        json: { type: 'string' },
        from: { type: 'string' },
        write: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const { workload, peer, rounds, before, smoke, json, from, write, help } = values;
    return { workload, peer, rounds, before, smoke, json, from, write, help };
  } catch (error) {
    throw new BenchmarkError(`${error instanceof Error ? error.message : String(error)}. See --help.`);
  }
}

function workloadsOf(names: readonly string[] | undefined): readonly Workload[] {
  if (names === undefined) return WORKLOADS;
  const unknown = names.find((name) => !WORKLOADS.some((workload) => workload.name === name));
  if (unknown !== undefined)
    throw new BenchmarkError(`there is no workload '${unknown}'. --help lists them.`);
  return WORKLOADS.filter(({ name }) => names.includes(name));
}

function roundsOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new BenchmarkError(`--rounds got '${text}'; it takes an integer from 1 to 9999.`);
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
