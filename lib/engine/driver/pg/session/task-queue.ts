import type { Client } from 'pg';
import { DBAPIError, InterfaceError, ResourceClosedError } from '../../../errors/errors.js';
import type { CommandOptions, CommandResult, ServerStatus } from '../../driver.js';
import { ClientTurn } from '../wire/client-turn.js';
import type { PgWire } from '../wire/pg-wire.js';
import { Cancellation } from '../cancel/cancellation.js';
import { PgBatch } from './pg-batch.js';
import type { PgBatchParts, WireContext } from './batch-parts.js';
import { FurtherFlights, type FlightQueue } from './further-flights.js';
import { cancelledUnsent, isEndOfSession, lostError, secondError, toEngineError } from './pg-error.js';
import { isReadOnlyControl } from './pg-step.js';
import { tellWritten, unanswered, watchTask, type PgTask } from './pg-task.js';
import { nameAndReasonOf } from '../../../errors/thrown.js';

const READ_ONLY_TRANSACTION = '25006';

/** What a queue has of its session. */
export interface TaskQueueParts {
  readonly session: { readonly status: ServerStatus };
  /** False: what runs ends by itself. */
  readonly takesCancel: boolean;
}

/** The batches of one session in the order of their calls; pg's own queue is never used. */
export class TaskQueue implements FlightQueue {
  readonly #client: Client;
  readonly #context: WireContext;
  readonly #wire: PgWire;
  readonly #parts: TaskQueueParts;
  /** Both are made when they are first needed. */
  #further: FurtherFlights | undefined;
  #cancellation: Cancellation | undefined;
  readonly #waiting: (PgTask | ClientTurn)[] = [];
  #running: PgTask | undefined;
  /** The client is used directly. */
  #turn: ClientTurn | undefined;
  /** Written behind the running one, in this order. */
  readonly #written: PgTask[] = [];
  /** `closing`: nothing is accepted any more. Changed here alone. */
  state: 'open' | 'closing' | 'gone' = 'open';
  #tasks = 0;
  #lossCause: unknown;
  /** Flights that were sent: what leaves in one packet is waited for together. */
  roundTrips = 0;
  /** The transaction that is open was started as READ ONLY. */
  #isReadOnly = false;

  constructor(client: Client, context: WireContext, wire: PgWire, parts: TaskQueueParts) {
    this.#parts = parts;
    this.#client = client;
    this.#context = context;
    this.#wire = wire;
  }

  get isQuiet(): boolean {
    const isFree = this.#running === undefined && this.#turn === undefined;
    return isFree && this.#waiting.length === 0 && this.#cancellation?.isPending !== true;
  }

  /** The client is used in a turn of its own. */
  get isLent(): boolean {
    return this.#turn !== undefined;
  }

  /** What is on its way now. */
  get batch(): PgBatch | undefined {
    return this.#running?.batch;
  }

  close(): void {
    this.state = 'closing';
  }

  async cancel(): Promise<void> {
    if ((this.#running ?? this.#turn) === undefined || this.state !== 'open') return;
    this.batch?.copy?.cancel();
    if (!this.#parts.takesCancel) return;
    this.#cancellation ??= new Cancellation(this.#client, {
      onDelivered: () => this.#next(),
      onFailed: (cause) => this.lose(cause),
    });
    await this.#cancellation.start();
  }

  /** Sends `parts` when it is their turn; `settle` is told of their answer, or why there is none. */
  run(
    parts: PgBatchParts,
    options: CommandOptions | undefined,
    settle: (failure: Error | undefined, batch: PgBatch, before: PgTask['before']) => void,
  ): void {
    if (options?.signal?.aborted === true) throw cancelledUnsent(parts.steps);
    const task = this.makeTask(parts, options, (failure, batch) => {
      unwatch?.();
      settle(failure, batch, task.before);
    });
    const isLimited = options?.timeout !== undefined || options?.signal !== undefined;
    const unwatch = isLimited ? watchTask(options, () => this.#interrupt(task)) : undefined;
    if (this.#running !== undefined && task.isPipelined && this.#pipeline(task)) return;
    this.#waiting.push(task);
    this.#next();
  }

  makeTask(
    parts: PgBatchParts,
    options: CommandOptions | undefined,
    settle: (failure: Error | undefined, batch: PgBatch) => void,
  ): PgTask {
    this.#tasks += 1;
    const task: Omit<PgTask, 'batch'> = {
      number: this.#tasks,
      parts,
      settle,
      deadline: options?.timeout === undefined ? Infinity : performance.now() + options.timeout,
      startedIn: 'idle',
      isPipelined: options?.isPipelined === true && parts.many === undefined,
      written: options?.written,
      onFlight: options?.onFlight,
      repetitions: 0,
      isInterrupted: false,
      asked: undefined,
      before: [],
    };
    return Object.assign(task, { batch: new PgBatch(this.#context, this.#wire, parts, task, this) });
  }

  /** Writes after those that are under way; false where it has to wait for their answers. */
  #pipeline(task: PgTask): boolean {
    const isFree = this.#waiting.length === 0 && this.#cancellation?.isPending !== true;
    if (this.#running?.isPipelined !== true || !isFree) return false;
    const refusal = this.#write(task);
    if (refusal !== undefined) throw refusal;
    this.#written.push(task);
    if (!this.#wire.isCorked) this.roundTrips += 1;
    task.onFlight?.(this.roundTrips);
    this.#wire.sendSoon();
    return true;
  }

  /** Why nothing can be sent. */
  refusal(): Error {
    if (this.#lossCause !== undefined) return lostError(this.#lossCause);
    return new ResourceClosedError('the session is closed. Take another connection from the pool.');
  }

  #next(): void {
    if (this.#running !== undefined || this.#turn !== undefined || this.state !== 'open') return;
    // What is on the wire already is answered whatever else there is.
    const written = this.#written.shift();
    const task = written ?? (this.#cancellation?.isPending === true ? undefined : this.#waiting.shift());
    if (task === undefined) return;
    if (task instanceof ClientTurn) return this.#lend(task);
    const isLate = written === undefined && task.deadline !== Infinity && performance.now() > task.deadline;
    const refusal = isLate ? cancelledUnsent(task.parts.steps) : written === undefined && this.#write(task);
    if (refusal instanceof Error) {
      task.settle(refusal, task.batch);
      return this.#next();
    }
    this.#running = task;
    if (written === undefined) {
      this.roundTrips += 1;
      task.onFlight?.(this.roundTrips);
    }
    try {
      this.#wire.submit(task.batch);
      if (task.isInterrupted) void this.cancel();
    } catch (error) {
      this.lose(error);
    }
  }

  /** Gives the reason why nothing of it could be written; then nothing of it is on the wire. */
  #write(task: PgTask): Error | undefined {
    const { status } = this.#parts.session;
    if (task.repetitions === 0 && task.before.length === 0) task.startedIn = status;
    if (status === 'idle') this.#isReadOnly = false;
    // Control is in front.
    const { steps, refusal } = task.parts;
    const reason = refusal?.();
    if (reason !== undefined) return reason;
    if (steps[0]?.isControl === true && steps.some(isReadOnlyControl)) this.#isReadOnly = true;
    try {
      task.batch.write();
      if (task.written !== undefined) tellWritten(task);
      return undefined;
    } catch (error) {
      this.#wire.writer.rewind();
      this.#context.prepared.settings.changeLocally();
      return error instanceof Error ? error : new InterfaceError(nameAndReasonOf(error), { cause: error });
    }
  }

  /** pg has forgotten the batch, and would not pass it the ReadyForQuery that is still to come. */
  failed(): void {
    this.#client.connection.once('readyForQuery', () => this.finished());
  }

  /** ReadyForQuery. */
  finished(): void {
    const task = this.#running;
    if (task === undefined) return;
    const { outcome } = task.batch;
    if (outcome === 'wrong') return this.lose(unanswered());
    this.#running = undefined;
    this.#cancellation?.end();
    if (outcome === 'good') task.settle(undefined, task.batch);
    else if (!this.#furtherFlights().goOn(task)) task.settle(this.#classified(task), task.batch);
    this.#next();
  }

  #furtherFlights(): FurtherFlights {
    return (this.#further ??= new FurtherFlights(this.#context, this.#wire, this));
  }

  /**
   * A write that is refused where nothing asked for a read-only transaction: the server is no primary any
   * more.
   */
  #classified({ batch, parts }: PgTask): Error | undefined {
    const { error } = batch;
    const { onRefusedWrite } = this.#context;
    if (!(error instanceof DBAPIError) || error.sqlState !== READ_ONLY_TRANSACTION) return error;
    if (!onRefusedWrite || this.#isReadOnly || parts.steps.some(isReadOnlyControl)) return error;
    error.connectionInvalidated = true;
    onRefusedWrite();
    return error;
  }

  sendFirst(task: PgTask): void {
    this.#waiting.unshift(task);
  }

  get status(): ServerStatus {
    return this.#parts.session.status;
  }

  /** Lends the client to `use` when it is its turn. */
  lend(use: (client: Client) => void, options?: CommandOptions): Promise<CommandResult> {
    return new Promise((resolve, reject) => {
      if (options?.signal?.aborted === true) throw cancelledUnsent([]);
      const turn = new ClientTurn(this.#client, use, (failure, result) => {
        unwatch?.();
        if (failure === undefined) resolve(result);
        else reject(failure instanceof DBAPIError ? failure : toEngineError(failure, undefined));
      });
      const unwatch = options && watchTask(options, () => this.#interrupt(turn));
      this.#waiting.push(turn);
      this.#next();
    });
  }

  #lend(turn: ClientTurn): void {
    this.#turn = turn;
    this.#wire.silence?.noteSent();
    turn.start(() => {
      if (this.#turn !== turn) return;
      this.#turn = undefined;
      this.#cancellation?.end();
      turn.settle();
      this.#next();
    });
  }

  #interrupt(task: PgTask | ClientTurn): void {
    if (this.#running === task || this.#turn === task) {
      void this.cancel();
      return;
    }
    if (!(task instanceof ClientTurn)) task.isInterrupted = true;
    const index = this.#waiting.indexOf(task);
    if (index === -1) return;
    this.#waiting.splice(index, 1);
    if (task instanceof ClientTurn) task.settle(cancelledUnsent([]));
    else task.settle(cancelledUnsent(task.parts.steps), task.batch);
  }

  broken(error: DBAPIError): void {
    this.lose(error);
  }

  /** Ends the session, and everything that waits for it. */
  lose(cause: unknown): void {
    if (this.state === 'gone') return;
    this.state = 'gone';
    this.#cancellation?.end();
    this.#context.prepared.end();
    // What the server said last (57P01, for instance) tells more than the end of the stream.
    const farewell = this.#running?.batch.failure;
    this.#lossCause = isEndOfSession(farewell) ? farewell : (secondError(cause, farewell) ?? cause);
    const tasks = [this.#running, this.#turn, ...this.#written.splice(0), ...this.#waiting.splice(0)];
    this.#running = undefined;
    this.#turn = undefined;
    for (const task of tasks) {
      if (task instanceof ClientTurn) task.settle(lostError(this.#lossCause));
      else task?.settle(lostError(this.#lossCause, task.batch.current?.text), task.batch);
    }
    this.#client.connection.stream.destroy();
  }
}
