import { Session } from 'node:inspector/promises';
import type { Profiler } from 'node:inspector';

/** Microseconds between two looks. */
const INTERVAL = 200;

/** Where the time of a process went. `waiting`: it had nothing to do. */
export type Part =
  | 'waiting'
  | 'writes to the socket'
  | 'garbage collection'
  | 'nest-async-engine'
  | 'pg'
  | 'Node.js'
  | 'others';

/** Shares of the whole, which is 1. */
export type Profile = Partial<Record<Part, number>>;

/** Runs `work` under V8's profiler. */
export async function profileOf(work: () => Promise<void>): Promise<Profile> {
  const session = new Session();
  session.connect();
  try {
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval: INTERVAL });
    await session.post('Profiler.start');
    await work();
    const { profile } = await session.post('Profiler.stop');
    return sharesOf(profile, new URL('..', import.meta.resolve('nest-async-engine/engine')).href);
  } finally {
    session.disconnect();
  }
}

/** `library`: the address that all modules of the library begin with. */
export function sharesOf(
  { nodes, samples = [], timeDeltas = [] }: Profiler.Profile,
  library: string,
): Profile {
  const parts = new Map(nodes.map(({ id, callFrame }) => [id, partOf(callFrame, library)]));
  const times = new Map<Part, number>();
  for (const [index, id] of samples.entries()) {
    const part = parts.get(id) ?? 'others';
    times.set(part, (times.get(part) ?? 0) + (timeDeltas[index] ?? 0));
  }
  const total = [...times.values()].reduce((sum, time) => sum + time, 0);
  return Object.fromEntries([...times].map(([part, time]) => [part, time / total]));
}

const WRITES = /^(?:writeBuffer|writev|write\w+String)$/;

function partOf(
  { functionName, url }: Profiler.Profile['nodes'][number]['callFrame'],
  library: string,
): Part {
  if (functionName === '(idle)') return 'waiting';
  if (functionName === '(garbage collector)') return 'garbage collection';
  if (url === '') return WRITES.test(functionName) ? 'writes to the socket' : 'Node.js';
  if (url.startsWith(library)) return 'nest-async-engine';
  if (url.startsWith('node:')) return 'Node.js';
  return /\/node_modules\/pg(?:-[a-z-]+)?\//.test(url) ? 'pg' : 'others';
}
