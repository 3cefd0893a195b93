import { createHook } from 'node:async_hooks';
import { accountIdOf } from '../fixtures.js';
import { counting } from '../counting.js';
import { GOALS } from '../goals.js';
import { FLOOR, loadPeer, OURS, type Peer, type PeerName } from '../peers/index.js';
import type { Contender, Workload } from '../workload.js';

type Work = () => Promise<unknown>;

/** The fewest of some runs: the first ones connect and prepare. */
async function promisesOf(work: Work, runs: number): Promise<number> {
  let made = 0;
  const init = (_id: number, type: string): void => {
    made += type === 'PROMISE' ? 1 : 0;
  };
  const hook = createHook({ init });
  let fewest = Infinity;
  for (let left = runs; left > 0; left -= 1) {
    made = 0;
    hook.enable();
    await work();
    hook.disable();
    fewest = Math.min(fewest, made);
  }
  return fewest;
}

async function countEach(
  works: Readonly<Record<string, Work>>,
  runs: number,
): Promise<Record<string, number>> {
  const amounts: Record<string, number> = {};
  for (const [name, work] of Object.entries(works)) amounts[name] = await promisesOf(work, runs);
  return amounts;
}

function ofPeer(name: PeerName): Contender {
  return counting(name, async ({ url, size: { operations } }) => {
    const open = await loadPeer(name);
    const peer = (await open({ url, connections: 1 })) as Pick<
      Peer,
      'selectById' | 'visit' | 'nested' | 'close'
    >;
    const works: Record<string, Work> = {
      [`${name}: point select`]: () => peer.selectById(accountIdOf(1)),
      [`${name}: transaction of 2 statements`]: () => peer.visit(accountIdOf(2)),
      [`${name}: transaction with 2 nested ones`]: () => peer.nested(accountIdOf(3), accountIdOf(4)),
    };
    return { count: () => countEach(works, operations), close: () => peer.close() };
  });
}

const connecting = counting(`${OURS}, connect()`, async ({ url, size: { operations } }) => {
  const [{ createAsyncEngine }, { selectAccount }] = await Promise.all([
    import('nest-async-engine/engine'),
    import('../peers/ours.js'),
  ]);
  const engine = createAsyncEngine(url, { poolSize: 1 });
  const connect: Work = async () => {
    const connection = await engine.connect();
    await connection.execute(selectAccount, { id: 7 }).one();
    await connection.close();
  };
  const works = { [`${OURS}: connect(), select, close()`]: connect };
  return { count: () => countEach(works, operations), close: () => engine.aclose() };
});

/** Those of the function that calls are counted with them. */
export const promises: Workload = {
  name: 'promises',
  title: 'Promises of one call',
  contenders: [...([FLOOR, 'pg', OURS] as const).map(ofPeer), connecting],
  base: 'pg',
  goals: GOALS.promises,
  unit: 'promises',
  full: { operations: 20, rounds: 1 },
  smoke: { operations: 5 },
};
