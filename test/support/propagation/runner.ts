import { INNER, OwnError } from './table.js';
import type { Outcome, PropagationCase } from './table.js';
import type { Propagation } from 'nest-async-engine/engine';

export type Work = () => Promise<void>;

/** Who plays a case: an engine, or decorated methods of a service. */
export interface Cast {
  /** Stores a name, wherever it is called. */
  store(name: string): Promise<unknown>;
  /** A transaction around `work`. */
  around(work: Work): Promise<unknown>;
  inner(mode: Propagation, work: Work): Promise<unknown>;
}

/** Plays a case to its end; gives the classes of the errors that came out, and nothing of the rows. */
export async function play(
  cast: Cast,
  { mode, around, fate, order }: PropagationCase,
): Promise<Pick<Outcome, 'outer'> & { readonly inner: readonly Outcome['inner'][] }> {
  const inner = (name: string): Promise<Outcome['inner']> =>
    classOfFailure(
      cast.inner(mode, async () => {
        await cast.store(name);
        if (fate === 'inner throws and is caught') throw new OwnError('inner');
      }),
    );
  const failures: Outcome['inner'][] = [];
  const work = async (): Promise<void> => {
    await cast.store('outer 1');
    if (order === 'Promise.all') failures.push(...(await Promise.all(INNER.map(inner))));
    else for (const name of INNER) failures.push(await inner(name));
    await cast.store('outer 2');
    if (fate === 'outer throws') throw new OwnError('outer');
  };
  const outer = await classOfFailure(around === 'active' ? cast.around(work) : work());
  return { outer, inner: failures };
}

async function classOfFailure(work: Promise<unknown>): Promise<Outcome['inner']> {
  return await work.then(
    () => undefined,
    (error: unknown) => (error as Error).constructor as NonNullable<Outcome['inner']>,
  );
}
