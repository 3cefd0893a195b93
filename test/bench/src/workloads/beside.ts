import { accountIdOf, makeHappenings, measurementsOf } from '../fixtures.js';
import { quantile } from '../figures.js';
import { GOALS } from '../goals.js';
import { Observer } from '../observer.js';
import { peerContenders } from '../peer-contenders.js';
import { OURS, OURS_ALONE, type Capability, type Peer, type PeerName } from '../peers/index.js';
import type { Goal, Workload } from '../workload.js';

const READERS = 63;
const PEERS: readonly PeerName[] = ['pg.Pool', OURS, OURS_ALONE];

/** Whether to go on. */
type GoesOn = () => boolean;

/** Nanoseconds of each point select of all readers. */
async function readAll({ selectById }: Pick<Peer, 'selectById'>, goesOn: GoesOn): Promise<number[]> {
  const times: number[] = [];
  const read = async (reader: number): Promise<void> => {
    for (let index = reader; goesOn(); index += READERS) {
      const before = process.hrtime.bigint();
      await selectById(accountIdOf(index));
      times.push(Number(process.hrtime.bigint() - before));
    }
  };
  await Promise.all(Array.from({ length: READERS }, (_, reader) => read(reader)));
  return times;
}

function during(milliseconds: number): GoesOn {
  const end = performance.now() + milliseconds;
  return () => performance.now() < end;
}

/** What a neighbor is about, beside point selects. */
interface Neighbor<C extends Capability> {
  readonly name: string;
  readonly title: string;
  readonly capability: C;
  readonly goals: readonly Goal[];
  readonly work: (peer: Pick<Peer, C>, rows: number) => () => Promise<unknown>;
  readonly rows: number;
}

/** The p99 of point selects of 63 callers, with a neighbor in the same pool and without, one after the other. */
function beside<C extends Capability>({ name, title, capability, goals, work, rows }: Neighbor<C>): Workload {
  const contenders = PEERS.flatMap((of) =>
    peerContenders([of], ['selectById', capability], async (peer, { directUrl, size }) => {
      const { duration = 0, rows: many = 1 } = size;
      const disturb = work(peer as Pick<Peer, C>, many);
      const readers = { selectById: (id: number) => (peer as Pick<Peer, 'selectById'>).selectById(id) };
      const p99 = async (goesOn: GoesOn): Promise<number> => quantile(await readAll(readers, goesOn), 0.99);
      const count = async (): Promise<number> => {
        const without = await p99(during(duration));
        const goesOn = during(duration);
        const disturbing = (async () => {
          while (goesOn()) await disturb();
        })();
        const beside = await p99(goesOn);
        await disturbing;
        return beside / without;
      };
      await readAll(readers, during(duration / 4));
      return {
        prepare: () => Observer.ask(directUrl, (observer) => observer.execute('TRUNCATE measurements')),
        run: async () => ({ amounts: { [of]: await count() } }),
      };
    }),
  );
  return {
    name,
    title,
    contenders,
    base: 'pg.Pool',
    goals,
    unit: '× the p99 without it',
    full: { operations: 1, rows, duration: 1_000, rounds: 3 },
    smoke: { operations: 1, rows: 500, duration: 20 },
    fixtures: ({ rows: many = 1 }) => makeHappenings(many),
  };
}

export const besideNeighbors: readonly Workload[] = [
  beside({
    name: 'beside-buffered-rows',
    title: '63 quick readers beside one that reads 100,000 rows at once',
    capability: 'selectHappenings',
    goals: GOALS['beside-buffered-rows'],
    work: (peer) => () => peer.selectHappenings(),
    rows: 100_000,
  }),
  beside({
    name: 'beside-stream',
    title: '63 quick readers beside a stream of 100,000 rows',
    capability: 'stream',
    goals: GOALS['beside-stream'],
    work: (peer) => () => peer.stream(() => undefined),
    rows: 100_000,
  }),
  beside({
    name: 'beside-executemany',
    title: '63 quick readers beside an executemany of 50,000 rows',
    capability: 'insertMany',
    goals: GOALS['beside-executemany'],
    work(peer, rows) {
      const list = measurementsOf(rows);
      return () => peer.insertMany(list);
    },
    rows: 50_000,
  }),
];
