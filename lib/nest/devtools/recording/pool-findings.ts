import type { AcquireEvent } from '../../../engine/index.js';
import type { Findings } from './findings.js';
import type { Holder } from './pool-monitor.js';

/** From which figure on something about a pool is a finding. */
export interface PoolLimits {
  /** Milliseconds that a caller waits for a connection. */
  readonly poolWait: number;
  /** Milliseconds that a connection is on loan. */
  readonly leak: number;
}

/** What is worth a look about the pool of one engine. */
export class PoolFindings {
  readonly #engine: string;
  readonly #findings: Findings;
  readonly #limits: PoolLimits;
  readonly #leaks = new WeakSet<Holder>();

  constructor(engine: string, findings: Findings, limits: PoolLimits) {
    this.#engine = engine;
    this.#findings = findings;
    this.#limits = limits;
  }

  acquired({ hasWaited, duration = 0 }: AcquireEvent): void {
    if (!hasWaited || duration < this.#limits.poolWait) return;
    this.#findings.add(
      { engine: this.#engine },
      {
        kind: 'poolTooSmall',
        key: 'pool',
        title: `a caller waited ${Math.round(duration)} ms for a connection: all were on loan`,
        advice: 'See on the page Pool who has them, and for how long. Shorten that work, or raise poolSize.',
      },
    );
  }

  /** Each loan is told of once. */
  onLoan(holders: Iterable<Holder>): void {
    for (const holder of holders) {
      const since = performance.now() - holder.since;
      if (since < this.#limits.leak || this.#leaks.has(holder)) continue;
      this.#leaks.add(holder);
      this.#findings.add(
        { engine: this.#engine },
        {
          kind: 'leak',
          key: String(holder.pid),
          title: `${holder.label} has had a connection for ${Math.round(since / 1_000)} s`,
          advice:
            'Was it forgotten? Close it in a finally block, or take it with "await using" or a callback.',
          site: holder.site,
        },
      );
    }
  }
}
