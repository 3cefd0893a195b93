import type { CallSite } from '../../../engine/util/call-site.js';
import { placeText } from './place.js';
import type { Wait } from './pool-monitor.js';
import type { Fate, Outcome, StepView, UnitView } from './views.js';

type Changeable<T> = { -readonly [Name in keyof T]: T[Name] };

/**
 * One bar while it is recorded. The text of its call site costs more than all the rest: it is made when it is
 * shown.
 */
export type Step = Changeable<Omit<StepView, 'site'>> & { readonly site: CallSite | undefined };

/** What is known of a step when it starts. */
type StepStart = Pick<Step, 'kind' | 'text'> & Partial<Pick<Step, 'parent' | 'values' | 'site'>>;

/** How often something has waited for the server, and which flight was its last. */
interface Flights {
  readonly roundTrips: number;
  readonly processId?: number | undefined;
  readonly flight?: number | undefined;
}

/** Steps of one unit that are kept; those behind them are counted. */
const MAX_STEPS = 500;

/** One request, job or lone transaction, and what it did on the database. */
export class Unit {
  readonly id: number;
  readonly engine: string;
  readonly label: string;
  readonly startedAt = Date.now();
  readonly #start = performance.now();
  readonly #steps: Step[] = [];
  /** The last flight of each session. */
  readonly #flights = new Map<number | undefined, number>();
  readonly #waitsFor: 'its end' | 'its steps';
  #omitted = 0;
  #statements = 0;
  #roundTrips = 0;
  #failures = 0;
  #running = 0;
  #end: number | undefined;
  readonly #transactions = { committed: 0, undone: 0 };

  /** `waitsFor`: a request is over when it is told so, a lone transaction with its last step. */
  constructor(id: number, engine: string, label: string, waitsFor: 'its end' | 'its steps') {
    this.id = id;
    this.engine = engine;
    this.label = label;
    this.#waitsFor = waitsFor;
  }

  /** Undefined for a step that is only counted. */
  begin(start: StepStart): Step | undefined {
    this.#running += 1;
    this.#end = undefined;
    if (start.kind === 'statement') this.#statements += 1;
    if (this.#steps.length >= MAX_STEPS) {
      this.#omitted += 1;
      return undefined;
    }
    const step: Step = {
      id: this.#steps.length,
      parent: start.parent,
      kind: start.kind,
      start: performance.now() - this.#start,
      duration: undefined,
      fate: 'open',
      text: start.text,
      values: start.values,
      rows: undefined,
      error: undefined,
      site: start.site,
    };
    this.#steps.push(step);
    return step;
  }

  /** A wait for a connection, from `startedAt` (by `performance.now()`) for `duration` ms. */
  waitedForConnection(
    { startedAt, duration }: Wait,
    { parent, error }: { readonly parent?: number | undefined; readonly error?: string },
  ): void {
    const step = this.begin({ kind: 'wait', text: '', parent });
    this.finish(step, { ...(error && { error }) });
    if (step !== undefined) {
      step.start = Math.max(0, startedAt - this.#start);
      step.duration = duration;
    }
  }

  /** `fate`: what became of it, where that is known with its end. */
  finish(
    step: Step | undefined,
    { rows, error, fate }: { rows?: number; error?: string | undefined; fate?: Fate } = {},
  ): void {
    this.#running -= 1;
    if (error !== undefined) this.#failures += 1;
    if (this.#running === 0 && this.#waitsFor === 'its steps') this.#end = performance.now();
    if (step === undefined) return;
    step.duration = performance.now() - this.#start - step.start;
    step.rows = rows;
    if (error !== undefined) step.error = error;
    if (fate !== undefined) step.fate = fate;
  }

  /** A transaction or savepoint has ended, and with it what was done in it and not undone before. */
  settle(step: Step | undefined, fate: 'kept' | 'undone'): void {
    if (step === undefined) return;
    const inside = new Set([step.id]);
    for (const each of this.#steps) {
      if (each.parent === undefined || !inside.has(each.parent)) continue;
      inside.add(each.id);
      if (each.kind === 'wait') continue;
      if (each.fate === 'open' || fate === 'undone') each.fate = fate;
    }
    step.fate = fate;
  }

  transactionEnded(fate: 'kept' | 'undone'): void {
    this.#transactions[fate === 'kept' ? 'committed' : 'undone'] += 1;
  }

  /** It has waited for the server so often; for statements that left in one packet, once. */
  waited({ roundTrips, processId, flight }: Flights): void {
    const isShared = flight !== undefined && this.#flights.get(processId) === flight;
    this.#roundTrips += isShared ? roundTrips - 1 : roundTrips;
    if (flight !== undefined) this.#flights.set(processId, flight);
  }

  /** Nothing belongs to it any more. */
  end(): void {
    this.#end ??= performance.now();
  }

  get statements(): number {
    return this.#statements;
  }

  get roundTrips(): number {
    return this.#roundTrips;
  }

  /** Milliseconds that its statements took, those beside each other counted once. */
  get busy(): number {
    let total = 0;
    let until = 0;
    for (const { kind, start, duration = 0 } of this.#steps) {
      if (kind !== 'statement') continue;
      total += Math.max(0, start + duration - Math.max(start, until));
      until = Math.max(until, start + duration);
    }
    return total;
  }

  get #outcome(): Outcome {
    if (this.#end === undefined) return 'running';
    if (this.#transactions.undone > 0) return 'rolled back';
    if (this.#transactions.committed > 0) return 'committed';
    return this.#failures > 0 ? 'failed' : 'autocommit';
  }

  view(): UnitView {
    return {
      id: this.id,
      engine: this.engine,
      label: this.label,
      startedAt: this.startedAt,
      duration: this.#end === undefined ? undefined : this.#end - this.#start,
      outcome: this.#outcome,
      statements: this.#statements,
      roundTrips: this.#roundTrips,
      steps: this.#steps.map(({ site, ...step }) => ({ ...step, site: site && placeText(site) })),
      omitted: this.#omitted,
    };
  }
}
