import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import { PoolTimeoutError, type AsyncEngine, type Pool, type ReplicaStatus } from '../../engine/index.js';
import { timeRule, nameRule } from '../../engine/util/option-rule.js';
import { OptionTable } from '../../engine/util/option-table.js';
import { getEngineToken } from '../shared/database.tokens.js';
import { reasonOf } from '../../engine/errors/thrown.js';

/** Which database is asked, and for how long. */
export interface DatabasePingOptions {
  /** The database's name; the unnamed one where it is not given. */
  readonly engine?: string | undefined;
  /** Milliseconds for the ping, the wait for a connection included. Default 1,000. */
  readonly timeout?: number | undefined;
}

const HEALTH_OPTIONS = new OptionTable<DatabasePingOptions>(
  'pingCheck',
  { engine: nameRule, timeout: timeRule },
  'refused',
);

type Indicator<Key extends string> = ReturnType<typeof HealthIndicatorService.prototype.check<Key>>;

/** How a pool is used at this moment, in connections and callers. */
export interface PoolFigures {
  readonly size: number;
  readonly idle: number;
  readonly onLoan: number;
  readonly waiting: number;
}

/** What the health check says of a database; `message` is why it is `down`. */
export type DatabaseHealth = PoolFigures & {
  readonly message?: string;
  /** Left out without `replicas`. */
  readonly replicas?: readonly ReplicaStatus[];
};

/**
 * Tells Terminus whether the database answers, with the figures of its pool: `up`; `degraded` (still HTTP
 * 200) when it answers and callers wait for a connection, when every connection is in use, or when no replica
 * takes work; `down` when it does not answer. With Terminus 11, which has no `degraded`, that is `up` with
 * `degraded: true` in its data.
 */
@Injectable()
export class DatabaseHealthIndicator {
  /** @internal */
  constructor(
    @Inject(HealthIndicatorService) private readonly health: HealthIndicatorService,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
  ) {}

  /**
   * Pings on a connection of the pool, never on the request's own. Resolves to the result, whatever it is.
   */
  async pingCheck<const Key extends string>(
    key: Key,
    given: DatabasePingOptions = {},
  ): Promise<HealthIndicatorResult<Key>> {
    const options = HEALTH_OPTIONS.parse(given);
    const engine: AsyncEngine = this.moduleRef.get(getEngineToken(options.engine), { strict: false });
    const indicator = this.health.check(key);
    // Taken before the ping, which hands its connection on to a waiting caller.
    const figures = figuresOf(engine.pool);
    try {
      await engine.ping({ timeout: options.timeout });
    } catch (error) {
      const message = reasonOf(error);
      const data: DatabaseHealth = { ...figuresOf(engine.pool), message };
      // A busy pool is not a dead database: restarting the application for it makes things worse.
      return error instanceof PoolTimeoutError && isExhausted(engine.pool)
        ? degraded(indicator, data)
        : indicator.down({ ...data });
    }
    const replicas = engine.replicas.status();
    const data: DatabaseHealth = replicas.length === 0 ? figures : { ...figures, replicas };
    const isDegraded = figures.waiting > 0 || isWithoutReplicas(replicas);
    return isDegraded ? degraded(indicator, data) : indicator.up({ ...data });
  }
}

/** Terminus 11 has no such status: there it is `up`, and the data say it. */
function degraded<Key extends string>(
  indicator: Pick<Indicator<Key>, 'up'> & Partial<Pick<Indicator<Key>, 'degraded'>>,
  data: DatabaseHealth,
): HealthIndicatorResult<Key> {
  return indicator.degraded?.({ ...data }) ?? indicator.up({ ...data, degraded: true });
}

function figuresOf(pool: Pool): PoolFigures {
  return {
    size: pool.size(),
    idle: pool.checkedIn(),
    onLoan: pool.checkedOut(),
    waiting: pool.waiting(),
  };
}

/** Those that were not asked yet may take work. */
function isWithoutReplicas(replicas: readonly ReplicaStatus[]): boolean {
  return replicas.length > 0 && replicas.every(({ problem }) => (problem ?? 'unknown') !== 'unknown');
}

function isExhausted(pool: Pool): boolean {
  const { maxOverflow } = pool.options;
  return maxOverflow >= 0 && pool.checkedOut() >= pool.size() + maxOverflow;
}
