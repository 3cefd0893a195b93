import { setImmediate as turn } from 'node:timers/promises';

const KIBIBYTE = 1_024;

/** KiB in use, by objects and outside of the heap. */
export async function inUse(): Promise<number> {
  for (let pass = 0; pass < 3; pass += 1) {
    await turn();
    globalThis.gc?.();
  }
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / KIBIBYTE;
}

/** KiB that each of `count` things needs which `make` leaves behind; the caller holds them. Needs `--expose-gc`. */
export async function retainedBy(count: number, make: () => Promise<unknown>): Promise<number> {
  const before = await inUse();
  await make();
  return ((await inUse()) - before) / count;
}
