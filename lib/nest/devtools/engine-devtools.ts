import type {
  AcquireEvent,
  AsyncConnection,
  AsyncEngine,
  StatementEvent,
  TransactionEvent,
} from '../../engine/index.js';
import { readLocks } from './lock-monitor.js';
import type { Findings } from './recording/findings.js';
import { PoolFindings, type PoolLimits } from './recording/pool-findings.js';
import { PoolMonitor } from './recording/pool-monitor.js';
import { SideConnection } from './side-connection.js';
import { TransactionFindings } from './recording/transaction-findings.js';
import type { UnitFindings } from './recording/unit-findings.js';
import { UnitRecorder, type RecorderParts } from './recording/unit-recorder.js';
import type { LockView, PoolView } from './recording/views.js';

/** Where findings go, and from which figures on something is one. */
interface FindingParts {
  readonly findings: {
    readonly all: Findings;
    readonly ofUnits: UnitFindings;
    readonly limits: PoolLimits;
  };
}

/** All that looks at one engine. */
export class EngineDevtools {
  readonly name: string;
  readonly pool: PoolMonitor;
  readonly side: SideConnection;
  readonly #recorder: UnitRecorder;

  readonly #engine: AsyncEngine;
  readonly #findings: PoolFindings;
  /** True: the texts of other applications are shown, which may have values in them. */
  readonly #showsOthers: boolean;

  constructor(
    engine: AsyncEngine,
    { findings, ...parts }: Omit<RecorderParts, 'pool' | 'findings' | 'endings'> & FindingParts,
  ) {
    this.#engine = engine;
    this.#findings = new PoolFindings(parts.name, findings.all, findings.limits);
    this.#showsOthers = parts.showValues;
    this.name = parts.name;
    this.pool = new PoolMonitor(engine, parts.name);
    this.side = new SideConnection(engine);
    this.#recorder = new UnitRecorder(engine, {
      ...parts,
      pool: this.pool,
      findings: findings.ofUnits,
      endings: new TransactionFindings(findings.all),
    });
  }

  transactionEnded(event: TransactionEvent<AsyncConnection>): void {
    this.#recorder.transactionEnded(event);
  }

  statementEnded(event: StatementEvent<AsyncConnection>): void {
    this.#recorder.statementEnded(event);
  }

  acquired(event: AcquireEvent): void {
    if (event.engine === undefined || event.engine.pool !== this.#engine.pool) return;
    this.pool.acquired(event);
    if (event.pool === this.#engine.pool) this.#findings.acquired(event);
  }

  sample(): PoolView {
    this.pool.sample();
    this.#findings.onLoan(this.pool.holders);
    return this.pool.view();
  }

  /** None where the server can't be asked: the page must live on while it is down. */
  async locks(): Promise<LockView[]> {
    try {
      return await readLocks(this.side, {
        engine: this.name,
        showsOthers: this.#showsOthers,
        holderOf: (pid) => this.pool.holderOf(pid),
      });
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
