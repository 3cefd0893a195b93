import type { AsyncConnection, AsyncEngine, TransactionEvent } from '../../engine/index.js';
import { readLocks } from './lock-monitor.js';
import { PoolMonitor } from './pool-monitor.js';
import { SideConnection } from './side-connection.js';
import { UnitRecorder, type RecorderParts } from './unit-recorder.js';
import type { LockView, PoolView } from './views.js';

/** All that looks at one engine. */
export class EngineDevtools {
  readonly name: string;
  readonly pool: PoolMonitor;
  readonly side: SideConnection;
  readonly #recorder: UnitRecorder;

  constructor(engine: AsyncEngine, parts: Omit<RecorderParts, 'pool'>) {
    this.name = engine.name;
    this.pool = new PoolMonitor(engine);
    this.side = new SideConnection(engine);
    this.#recorder = new UnitRecorder(engine, { ...parts, pool: this.pool });
  }

  transactionEnded(event: TransactionEvent<AsyncConnection>): void {
    this.#recorder.transactionEnded(event);
  }

  sample(): PoolView {
    this.pool.sample();
    return this.pool.view();
  }

  /** None where the server can't be asked: the page must live on while it is down. */
  async locks(): Promise<LockView[]> {
    try {
      return await readLocks(this.name, this.side, (pid) => this.pool.holderOf(pid));
    } catch {
      return [];
    }
  }

  async close(): Promise<void> {
    this.#recorder.close();
    this.pool.close();
    await this.side.close();
  }
}
