import { counting, type Amounts } from '../counting.js';
import { GOALS } from '../goals.js';
import { Observer } from '../observer.js';
import { CONNECTIONS } from '../peer-contenders.js';
import { inUse } from '../retained.js';
import type { Workload } from '../workload.js';

/** Requests a second, each a transaction of its own. */
const RATE = 500;
const CLIENTS = 64;
/** Milliseconds. */
const MINUTE = 60_000;
/** How much of it the first and the last part are at most. */
const PART = 5 * MINUTE;
const SESSIONS =
  'SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()';
const PASSING = /^(?:Timeout|Immediate|TickObject)$/;

/** What must not grow. */
interface Standing {
  /** KiB. */
  readonly heap: number;
  readonly handles: number;
  readonly sessions: number;
}

async function standingOf(directUrl: string): Promise<Standing> {
  const sessions = await Observer.ask(directUrl, (observer) => observer.number(SESSIONS));
  const handles = process.getActiveResourcesInfo().filter((kind) => !PASSING.test(kind)).length;
  return { heap: await inUse(), handles, sessions };
}

const ours = counting('nest-async-engine', async ({ url, directUrl, size: { duration = MINUTE } }) => {
  const [{ startApplication }, { Load }, { RequestConnectionModule }] = await Promise.all([
    import('../nest/application.js'),
    import('../nest/load.js'),
    import('../nest/request-connection.module.js'),
  ]);
  const settings = { url, connections: CONNECTIONS };
  const { port, close } = await startApplication(RequestConnectionModule.handleUnitOfWork(settings));
  const load = new Load();
  const ask = (milliseconds: number): Promise<number> => {
    const requests = Math.ceil((milliseconds * RATE) / 1_000);
    return load.run({ port, clients: CLIENTS, requests, rate: RATE });
  };
  const count = async (): Promise<Amounts> => {
    const part = Math.min(PART, duration / 3);
    await ask(part / 4);
    const first = await ask(part);
    const before = await standingOf(directUrl);
    await ask(duration - 2 * part);
    const last = await ask(part);
    const after = await standingOf(directUrl);
    return {
      'p99 of the last part, of that of the first': last / first,
      'heap at the end, of that after the first part': after.heap / before.heap,
      'handles more than after the first part': after.handles - before.handles,
      'sessions of the server more than after the first part': after.sessions - before.sessions,
    };
  };
  return {
    count,
    async close() {
      await load.close();
      await close();
    },
  };
});

/** `--long`: so many minutes. */
export function longRunOf(minutes: number): Workload {
  const duration = minutes * MINUTE;
  return {
    name: 'long-run',
    title: `${RATE} requests a second for ${minutes} minute${minutes === 1 ? '' : 's'}`,
    contenders: [ours],
    base: ours.name,
    goals: GOALS['long-run'],
    unit: '',
    patience: 2 * duration + 2 * MINUTE,
    full: { operations: 1, duration, rounds: 1 },
    smoke: { operations: 1, duration: 1_500 },
  };
}
