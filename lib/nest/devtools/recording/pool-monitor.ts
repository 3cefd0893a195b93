import type { AcquireEvent, AsyncEngine, PoolEvent } from '../../../engine/index.js';
import type { CallSite } from '../../../engine/util/call-site.js';
import { placeText } from './place.js';
import type { HolderView, PoolSample, PoolView } from './views.js';

/** One minute, at a sample each half second. */
const MAX_SAMPLES = 120;

/** The wait for a connection: when it began, by `performance.now()`, and how long it took (ms). */
export interface Wait {
  readonly startedAt: number;
  readonly duration: number;
}

/** Who has a connection, as far as it has said so. */
export interface Holder {
  readonly pid: number | undefined;
  readonly since: number;
  /** It has waited for the connection, which nothing was sent on yet. */
  wait: Wait | undefined;
  label: string;
  site: CallSite | undefined;
}

/** The connections of one engine's pool: who has them, and how many were on loan over time. */
export class PoolMonitor {
  readonly #engine: AsyncEngine;
  readonly #database: string;
  readonly #holders = new Map<unknown, Holder>();
  readonly #samples: PoolSample[] = [];
  readonly #checkedOut = ({ driverConnection }: PoolEvent): void => {
    const pid = processIdOf(driverConnection);
    this.#holders.set(driverConnection, {
      pid,
      since: performance.now(),
      wait: undefined,
      label: 'not known yet',
      site: undefined,
    });
  };
  readonly #checkedIn = ({ driverConnection }: Pick<PoolEvent, 'driverConnection'>): void => {
    this.#holders.delete(driverConnection);
  };

  constructor(engine: AsyncEngine, database: string) {
    this.#engine = engine;
    this.#database = database;
    engine.on('checkout', this.#checkedOut);
    engine.on('checkin', this.#checkedIn);
    engine.on('close', this.#checkedIn);
    engine.on('detach', this.#checkedIn);
  }

  close(): void {
    this.#engine.off('checkout', this.#checkedOut);
    this.#engine.off('checkin', this.#checkedIn);
    this.#engine.off('close', this.#checkedIn);
    this.#engine.off('detach', this.#checkedIn);
  }

  /** The connection works for this unit of work now. */
  name(driverConnection: unknown, label: string, site: CallSite): void {
    const holder = this.#holders.get(driverConnection);
    if (holder === undefined) return;
    holder.label = label;
    holder.site = site;
  }

  get holders(): Iterable<Holder> {
    return this.#holders.values();
  }

  holderOf(pid: number): Holder | undefined {
    return [...this.#holders.values()].find((holder) => holder.pid === pid);
  }

  acquired({ hasWaited, processId, startedAt, duration = 0 }: AcquireEvent): void {
    const holder = hasWaited && processId !== undefined ? this.holderOf(processId) : undefined;
    if (holder !== undefined) holder.wait = { startedAt, duration };
  }

  /** The wait of the one who sends its first statement on this session now; undefined for all others. */
  takeWait(processId: number | undefined): Wait | undefined {
    const holder = processId === undefined ? undefined : this.holderOf(processId);
    const wait = holder?.wait;
    if (holder !== undefined) holder.wait = undefined;
    return wait;
  }

  sample(): void {
    const { pool } = this.#engine;
    if (this.#samples.length >= MAX_SAMPLES) this.#samples.shift();
    this.#samples.push([Date.now(), pool.checkedOut(), pool.waiting()]);
  }

  view(): PoolView {
    const { pool } = this.#engine;
    const { maxOverflow } = pool.options;
    return {
      engine: this.#database,
      max: maxOverflow < 0 ? Math.max(pool.size(), pool.checkedOut()) : pool.size() + maxOverflow,
      size: pool.size(),
      idle: pool.checkedIn(),
      onLoan: pool.checkedOut(),
      waiting: pool.waiting(),
      holders: [...this.#holders.values()].map(holderView),
      samples: this.#samples,
    };
  }
}

function holderView({ pid, label, site, since }: Holder): HolderView {
  return { pid, label, site: site && placeText(site), since: performance.now() - since };
}

function processIdOf(client: unknown): number | undefined {
  const { processID } = (client ?? {}) as { readonly processID?: unknown };
  return typeof processID === 'number' ? processID : undefined;
}
