import { tracingChannel } from 'node:diagnostics_channel';
import { Inject, Injectable } from '@nestjs/common';
import type { BeforeApplicationShutdown, OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { Observable, Subject } from 'rxjs';
import { ArgumentError } from '../../engine/index.js';
import type {
  AcquireEvent,
  AsyncConnection,
  AsyncEngine,
  StatementEvent,
  TransactionEvent,
} from '../../engine/index.js';
import { printable } from '../../engine/util/logger.js';
import { Databases } from '../databases.js';
import { getEngineToken } from '../shared/database.tokens.js';
import { NestLogger } from '../shared/nest-logger.js';
import type { DevtoolsSettings } from './devtools-options.js';
import { EngineDevtools } from './engine-devtools.js';
import { Exchanges } from './recording/exchange.js';
import { explain } from './explain.js';
import { Findings, MAX_FINDINGS } from './recording/findings.js';
import { MAX_TEXTS, StatementTable } from './recording/statement-table.js';
import { Unit } from './recording/unit.js';
import { UnitFindings } from './recording/unit-findings.js';
import type { DevtoolsLimits, DevtoolsUpdate } from './recording/views.js';

/** The token of the module's settings. */
export const DEVTOOLS_SETTINGS = 'nest-async-engine:devtools-settings';

/** Units that are kept, of all engines. */
const MAX_UNITS = 200;

/** Milliseconds between two updates of an open page. */
const INTERVAL = 250;
/**
 * Units that an update brings at most, the newest first; the others follow. Under load their texts and call
 * sites would cost more than the requests.
 */
const MAX_CHANGES = 25;
/** Updates between two questions for locks. */
const LOCK_INTERVAL = 4;

const ACQUIRES = tracingChannel<unknown, AcquireEvent>('nest-async-engine:acquire');
const STATEMENTS = tracingChannel<unknown, StatementEvent<AsyncConnection>>('nest-async-engine:statement');
const TRANSACTIONS = tracingChannel<unknown, TransactionEvent<AsyncConnection>>(
  'nest-async-engine:transaction',
);

/** What the page shows, recorded from the events of the engines. Bounded, whatever happens. */
@Injectable()
export class Devtools implements OnModuleInit, BeforeApplicationShutdown, OnApplicationShutdown {
  readonly exchanges: Exchanges;
  readonly #units = new Map<number, Unit>();
  readonly #changed = new Set<Unit>();
  readonly #statements = new StatementTable();
  readonly #findings: Findings;
  readonly #updates = new Subject<DevtoolsUpdate>();
  #engines: EngineDevtools[] = [];
  #lastUnit = 0;
  #ticks = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #transactionEnded = (event: TransactionEvent<AsyncConnection>): void => {
    for (const engine of this.#engines) engine.transactionEnded(event);
  };

  readonly #acquired = (event: AcquireEvent): void => {
    for (const engine of this.#engines) engine.acquired(event);
  };
  readonly #statementEnded = (event: StatementEvent<AsyncConnection>): void => {
    for (const engine of this.#engines) engine.statementEnded(event);
  };

  constructor(
    @Inject(DEVTOOLS_SETTINGS) private readonly settings: DevtoolsSettings,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
    @Inject(Databases) private readonly databases: Databases,
  ) {
    this.exchanges = new Exchanges(settings.path, (unit) => this.#changed.add(unit));
    this.#findings = new Findings(settings.action, (engine, message) =>
      this.#engine(engine).logger.warn(printable(message)),
    );
  }

  onModuleInit(): void {
    const { guard, isLocalOnly, limits } = this.settings;
    if (guard === undefined && isLocalOnly) {
      new NestLogger().warn(
        `NODE_ENV is not set: ${this.path}, which shows the SQL of the application, is for requests of this machine ` +
          'alone. Set NODE_ENV=development, or give DatabaseDevtoolsModule a guard.',
      );
    }
    const names = this.settings.engines ?? this.databases.names;
    const findings = { all: this.#findings, ofUnits: new UnitFindings(this.#findings, limits), limits };
    this.#engines = names.map((name) => {
      const engine = this.#engine(name);
      return new EngineDevtools(engine, {
        name,
        exchanges: this.exchanges,
        statements: this.#statements,
        findings,
        showValues: this.settings.showValues,
        open: (label, waitsFor) => this.#open(name, label, waitsFor),
        changed: (unit) => this.#changed.add(unit),
      });
    });
    ACQUIRES.asyncEnd.subscribe(this.#acquired as never);
    STATEMENTS.asyncEnd.subscribe(this.#statementEnded as never);
    TRANSACTIONS.asyncEnd.subscribe(this.#transactionEnded as never);
  }

  /** In front of the HTTP server, which waits for its responses: an open page must not keep it. */
  beforeApplicationShutdown(): void {
    clearInterval(this.#timer);
    this.#updates.complete();
    this.exchanges.endPages();
  }

  /** NestJS 11 calls it for each `app.close()`: the first one ends all. */
  async onApplicationShutdown(): Promise<void> {
    ACQUIRES.asyncEnd.unsubscribe(this.#acquired as never);
    STATEMENTS.asyncEnd.unsubscribe(this.#statementEnded as never);
    TRANSACTIONS.asyncEnd.unsubscribe(this.#transactionEnded as never);
    await Promise.all(this.#engines.splice(0).map((engine) => engine.close()));
  }

  get path(): string {
    return this.settings.path;
  }

  /** What the page keeps, as what it is made of here. */
  get limits(): DevtoolsLimits {
    const { repeated } = this.settings.limits;
    return { units: MAX_UNITS, statements: MAX_TEXTS, findings: MAX_FINDINGS, repeated };
  }

  /** All that is known now, and from then on what changes. */
  updates(): Observable<DevtoolsUpdate> {
    return new Observable((subscriber) => {
      subscriber.next(this.#all());
      subscriber.add(this.#updates.subscribe(subscriber));
      this.#timer ??= setInterval(() => void this.#tick(), INTERVAL).unref();
      subscriber.add(() => {
        if (this.#updates.observed) return;
        clearInterval(this.#timer);
        this.#timer = undefined;
      });
    });
  }

  /** @throws ArgumentError for a statement that is not in the table, or that has no plan. */
  async explain(id: unknown, analyze: boolean): Promise<string> {
    const statement = this.#statements.find(id);
    const engine = this.#engines.find(({ name }) => name === statement?.engine);
    if (statement === undefined || engine === undefined) {
      throw new ArgumentError('this statement is no longer in the table. Run it again.');
    }
    const { showValues } = this.settings;
    return await explain(engine.side, statement, { analyze, showValues });
  }

  #open(engine: string, label: string, waitsFor: 'its end' | 'its steps'): Unit {
    const unit = new Unit((this.#lastUnit += 1), engine, label, waitsFor);
    this.#units.set(unit.id, unit);
    this.#units.delete(unit.id - MAX_UNITS);
    return unit;
  }

  #all(): DevtoolsUpdate {
    return {
      units: [...this.#units.values()].map((unit) => unit.view()),
      statements: this.#statements.views(),
      pools: this.#engines.map((engine) => engine.sample()),
      locks: [],
      findings: this.#findings.views(),
    };
  }

  async #tick(): Promise<void> {
    this.#ticks += 1;
    const changed = this.#takeChanged();
    const isLockTurn = this.#ticks % LOCK_INTERVAL === 0;
    const locks = isLockTurn
      ? (await Promise.all(this.#engines.map((engine) => engine.locks()))).flat()
      : undefined;
    this.#updates.next({
      units: changed.map((unit) => unit.view()),
      statements: this.#statements.takeChanges(),
      findings: this.#findings.takeChanges(),
      ...(this.#ticks % 2 === 0 && { pools: this.#engines.map((engine) => engine.sample()) }),
      ...(locks !== undefined && { locks }),
    });
  }

  #takeChanged(): Unit[] {
    for (const unit of this.#changed) if (!this.#units.has(unit.id)) this.#changed.delete(unit);
    const newest = [...this.#changed].toSorted((one, other) => other.id - one.id).slice(0, MAX_CHANGES);
    for (const unit of newest) this.#changed.delete(unit);
    return newest.toReversed();
  }

  #engine(name: string): AsyncEngine {
    return this.moduleRef.get(getEngineToken(name), { strict: false });
  }
}
