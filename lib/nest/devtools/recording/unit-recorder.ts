import type {
  AfterCursorExecuteEvent,
  AsyncConnection,
  AsyncEngine,
  BeforeCursorExecuteEvent,
  BeforeExecuteEvent,
  HandleErrorEvent,
  StatementEvent,
  TransactionEvent,
} from '../../../engine/index.js';
import { PoolTimeoutError } from '../../../engine/index.js';
import { parametersText } from '../../../engine/errors/parameter-text.js';
import { CallSite } from '../../../engine/util/call-site.js';
import { errorText } from './error-text.js';
import type { Exchanges } from './exchange.js';
import { placeText } from './place.js';
import type { PoolMonitor } from './pool-monitor.js';
import type { StatementTable } from './statement-table.js';
import type { Step, Unit } from './unit.js';
import type { TransactionFindings } from './transaction-findings.js';
import type { UnitFindings } from './unit-findings.js';

/** A statement on its way. */
interface Recorded {
  readonly unit: Unit;
  readonly site: CallSite;
  /** Undefined also for a step that is only counted. */
  step: Step | undefined;
  state: 'called' | 'sent' | 'over';
}

interface RecordedTransaction {
  readonly unit: Unit;
  readonly step: Step | undefined;
}

/** Where a recorder puts what it sees. */
export interface RecorderParts {
  /** Of the database in the application; that of an engine is the same for all. */
  readonly name: string;
  readonly exchanges: Exchanges;
  readonly pool: PoolMonitor;
  readonly statements: StatementTable;
  readonly showValues: boolean;
  /** A unit that begins now. */
  open(label: string, waitsFor: 'its end' | 'its steps'): Unit;
  changed(unit: Unit): void;
  readonly findings: UnitFindings;
  readonly endings: TransactionFindings;
}

/** Turns the events of one engine into the steps of units. */
export class UnitRecorder {
  readonly #engine: AsyncEngine;
  readonly #parts: RecorderParts;
  readonly #statements = new WeakMap<object, Recorded>();
  readonly #transactions = new WeakMap<object, RecordedTransaction>();
  /** Of work outside of requests: by its scope. */
  readonly #scopes = new WeakMap<object, Unit>();

  constructor(engine: AsyncEngine, parts: RecorderParts) {
    this.#engine = engine;
    this.#parts = parts;
    engine.on('beforeExecute', this.#called);
    engine.on('beforeCursorExecute', this.#sent);
    engine.on('afterCursorExecute', this.#answered);
    engine.on('handleError', this.#failed);
    engine.on('begin', this.#begun);
    engine.on('savepoint', this.#begun);
    engine.on('commit', this.#committing);
  }

  close(): void {
    this.#engine.off('beforeExecute', this.#called);
    this.#engine.off('beforeCursorExecute', this.#sent);
    this.#engine.off('afterCursorExecute', this.#answered);
    this.#engine.off('handleError', this.#failed);
    this.#engine.off('begin', this.#begun);
    this.#engine.off('savepoint', this.#begun);
    this.#engine.off('commit', this.#committing);
  }

  /** Called on the caller's own stack, which names the line that the statement comes from. */
  readonly #called = (event: BeforeExecuteEvent<AsyncConnection>): void => {
    this.#record(event);
  };

  readonly #sent = (event: BeforeCursorExecuteEvent<AsyncConnection>): void => {
    const { sql, parameters, connection, startedAt, transactionEvent } = event;
    // SQL of the driver has no event before this one.
    const recorded = this.#statements.get(event) ?? this.#record(event);
    const around = transactionEvent === undefined ? undefined : this.#transactions.get(transactionEvent);
    const { unit, site } = recorded;
    const wait = this.#parts.pool.takeWait(event.processId);
    if (wait !== undefined) unit.waitedForConnection(wait, { parent: around?.step?.id });
    recorded.state = 'sent';
    recorded.step = unit.begin({
      kind: 'statement',
      text: sql.slice(0, 10_000),
      parent: around?.step?.id,
      site,
      values: this.#parts.showValues ? parametersText(parameters).slice(0, 500) : undefined,
    });
    const client = connection?.pooled?.driverConnection;
    if (client !== undefined) this.#parts.pool.name(client, unit.label, site);
    this.#parts.changed(unit);
    this.#parts.findings.sending(unit, { sql, parameters, site, startedAt, transactionEvent });
  };

  readonly #answered = (event: AfterCursorExecuteEvent<AsyncConnection>): void => {
    this.#finish(event, { rows: event.rowCount });
    this.#parts.endings.answered(event);
  };

  readonly #failed = (event: HandleErrorEvent<AsyncConnection>): void => {
    const recorded = this.#statements.get(event);
    // It was refused before it could be sent.
    if (recorded?.state === 'called') {
      const { unit, site } = recorded;
      recorded.step = unit.begin({ kind: 'statement', text: (event.statement ?? '').slice(0, 10_000), site });
    }
    this.#finish(event, { error: this.#textOf(event.error, event.parameters) });
  };

  readonly #begun = (event: TransactionEvent<AsyncConnection>): void => {
    const around = event.parent === undefined ? undefined : this.#transactions.get(event.parent);
    const unit = around?.unit ?? this.#unitOf(event.transaction);
    const step = unit.begin({
      kind: event.nested ? 'savepoint' : 'transaction',
      text: placeText(event.transaction),
      parent: around?.step?.id,
    });
    this.#transactions.set(event, { unit, step });
    this.#parts.changed(unit);
  };

  readonly #committing = (event: TransactionEvent<AsyncConnection>): void => {
    this.#parts.endings.committing(event);
  };

  /** A transaction of whatever engine has ended. */
  transactionEnded(event: TransactionEvent<AsyncConnection>): void {
    const recorded = this.#transactions.get(event);
    if (recorded === undefined) return;
    const { unit, step } = recorded;
    const fate = event.outcome === 'committed' ? 'kept' : 'undone';
    unit.finish(step, {
      error: event.outcome === 'unknown' ? this.#textOf(event.error, undefined) : undefined,
    });
    // What a savepoint keeps is stored with the transaction around it, or not.
    if (!event.nested || fate === 'undone') unit.settle(step, fate);
    if (!event.nested) unit.transactionEnded(fate);
    unit.waited(event);
    this.#parts.endings.ended(unit, event);
    this.#parts.changed(unit);
  }

  /** A statement of whatever engine is over; of a stream, all of it. */
  statementEnded(event: StatementEvent<AsyncConnection>): void {
    const recorded = this.#statements.get(event);
    if (recorded === undefined) return;
    const { unit } = recorded;
    if (recorded.state === 'called' && event.error instanceof PoolTimeoutError) {
      const { startedAt, duration = performance.now() - startedAt } = event;
      unit.waitedForConnection({ startedAt, duration }, { error: event.error.message });
      recorded.state = 'over';
    }
    unit.waited(event);
    this.#parts.endings.refused(recorded.unit, event);
    this.#parts.changed(recorded.unit);
  }

  #record(
    event: object & { readonly transactionEvent?: TransactionEvent<AsyncConnection> | undefined },
  ): Recorded {
    const site = new CallSite();
    const around =
      event.transactionEvent === undefined ? undefined : this.#transactions.get(event.transactionEvent);
    const unit = around?.unit ?? this.#unitOf(site);
    const recorded: Recorded = { unit, site, step: undefined, state: 'called' };
    this.#statements.set(event, recorded);
    return recorded;
  }

  #finish(
    event: AfterCursorExecuteEvent<AsyncConnection> | HandleErrorEvent<AsyncConnection>,
    end: { readonly rows?: number; readonly error?: string },
  ): void {
    const recorded = this.#statements.get(event);
    if (recorded === undefined || recorded.state === 'over') return;
    recorded.state = 'over';
    const { unit, step, site } = recorded;
    const isAlone = event.transactionEvent === undefined;
    const failed = end.error !== undefined;
    unit.finish(step, { ...end, ...(isAlone && { fate: failed ? 'undone' : 'kept' }) });
    const values = Array.isArray(event.parameters) ? event.parameters : [];
    const run = { sql: step?.text ?? '', values, duration: event.duration ?? 0, site };
    this.#parts.statements.add({ ...run, engine: this.#parts.name, rows: end.rows, failed });
    this.#parts.findings.answered(unit, { ...run, transactionEvent: event.transactionEvent });
    this.#parts.changed(unit);
  }

  #textOf(error: unknown, parameters: unknown): string {
    return errorText(error, parameters, this.#parts.showValues);
  }

  /** The request's unit, that of the scope, or one of its own. */
  #unitOf(place: CallSite | string): Unit {
    const exchange = this.#parts.exchanges.current;
    const { name } = this.#parts;
    if (exchange !== undefined && !exchange.isOver) {
      const known = exchange.units.get(name);
      if (known !== undefined) return known;
      const unit = this.#parts.open(exchange.label, 'its end');
      exchange.units.set(name, unit);
      return unit;
    }
    const scope = this.#engine.currentScope();
    if (scope === undefined) return this.#parts.open(placeText(place), 'its steps');
    const known = this.#scopes.get(scope);
    if (known !== undefined) return known;
    const unit = this.#parts.open(placeText(scope.origin), 'its steps');
    this.#scopes.set(scope, unit);
    return unit;
  }
}
