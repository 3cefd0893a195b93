import type { CommandOptions, ServerStatus } from '../../driver.js';
import { CATALOG_QUERY, type CatalogEntry } from '../../types/type-catalog.js';
import type { PgWire } from '../wire/pg-wire.js';
import type { BatchListener, PgBatchParts, WireContext } from './batch-parts.js';
import { PgBatch } from './pg-batch.js';
import { toStep, type Step } from './pg-step.js';
import type { PgTask } from './pg-task.js';
import { isRepeatable } from './repetition.js';

/** The queue of a task that has more to send. */
export interface FlightQueue extends BatchListener {
  readonly state: 'open' | 'closing' | 'gone';
  /** What the server has said last. */
  readonly status: ServerStatus;
  makeTask(parts: PgBatchParts, options: CommandOptions | undefined, settle: PgTask['settle']): PgTask;
  /** In front of all that waits. */
  sendFirst(task: PgTask): void;
  lose(cause: unknown): void;
}

/**
 * What a task sends when the answer to its flight is not yet its own: the commands, once their types are
 * known; the same again, where it was outdated; ROLLBACK, where it would leave a transaction open.
 */
export class FurtherFlights {
  readonly #context: WireContext;
  readonly #wire: PgWire;
  readonly #queue: FlightQueue;

  constructor(context: WireContext, wire: PgWire, queue: FlightQueue) {
    this.#context = context;
    this.#wire = wire;
    this.#queue = queue;
  }

  /** True: the task has more to send before it has an answer. */
  goOn(task: PgTask): boolean {
    const { batch } = task;
    if (batch.failure !== undefined && this.#repeats(task)) return true;
    if (batch.isWrapped && batch.error !== undefined && this.#queue.status !== 'idle') {
      this.#rollBack(() => task.settle(batch.error, batch));
      return true;
    }
    if (batch.error !== undefined) return false;
    const unknown = batch.unknownTypes;
    if (unknown.length > 0) this.#lookUp(unknown, task);
    else if (batch.isQuestion) this.#continue(task);
    return unknown.length > 0 || batch.isQuestion;
  }

  /**
   * Sends the commands whose types are known by now; the control is in force already, unless it ended with
   * its Sync.
   */
  #continue(task: PgTask): void {
    const isKept = this.#queue.status !== 'idle';
    const steps = isKept ? task.parts.steps.filter(({ isControl }) => !isControl) : task.parts.steps;
    if (isKept) task.before.push(...task.batch.results);
    this.#send(task, steps);
  }

  #send(task: PgTask, steps = task.parts.steps): void {
    const parts = { ...task.parts, steps, closePortals: [] };
    task.batch = new PgBatch(this.#context, this.#wire, parts, task, this.#queue);
    this.#queue.sendFirst(task);
  }

  /** Asks the database about types, and lets the task go on. */
  #lookUp(typeOids: readonly number[], task: PgTask): void {
    const values = [`{${typeOids.join(',')}}`];
    this.#sendOwn(toStep({ text: CATALOG_QUERY, values, prepare: false }), (failure, { results }) => {
      if (failure !== undefined) return task.settle(failure, task.batch);
      this.#context.types.catalog.add(typeOids, (results[0]?.rows ?? []) as unknown as CatalogEntry[]);
      if (task.batch.isQuestion) return this.#continue(task);
      task.batch.readRest();
      task.settle(task.batch.error, task.batch);
    });
  }

  /**
   * A failure of what was parsed against something else than what is there now: it is parsed anew, where
   * nothing has happened yet. A flight that has begun a transaction leaves it failed, and it is rolled back
   * first.
   */
  #repeats(task: PgTask): boolean {
    const isOutdated = isRepeatable(task, this.#context.prepared);
    const { status, state } = this.#queue;
    if (!isOutdated || task.startedIn !== 'idle' || status === 'open' || state !== 'open') return false;
    task.repetitions += 1;
    task.before.length = 0;
    task.asked = undefined;
    this.#send(task);
    if (status === 'failed') this.#rollBack(() => undefined);
    return true;
  }

  /** Ends, before anything else is sent, the transaction that a flight has left open. */
  #rollBack(onDone: () => void): void {
    this.#sendOwn(toStep({ text: 'ROLLBACK', prepare: false }, undefined, true), (failure) => {
      onDone();
      if (failure !== undefined) this.#queue.lose(failure);
    });
  }

  /** A statement of ours, in front of all that waits. */
  #sendOwn(step: Step, settle: PgTask['settle']): void {
    const parts = { steps: [step], many: undefined, isAtomic: false, closePortals: [] };
    this.#queue.sendFirst(this.#queue.makeTask(parts, undefined, settle));
  }
}
