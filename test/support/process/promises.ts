import { createHook } from 'node:async_hooks';

/** How many promises a run makes, its own `async` and `await` included; the fewest of some runs. */
export async function promisesOf(work: () => Promise<unknown>): Promise<number> {
  let made = 0;
  const init = (_id: number, type: string): void => {
    if (type === 'PROMISE') made += 1;
  };
  const hook = createHook({ init });
  let fewest = Infinity;
  for (let run = 0; run < 10; run += 1) {
    made = 0;
    hook.enable();
    await work();
    hook.disable();
    fewest = Math.min(fewest, made);
  }
  return fewest;
}
