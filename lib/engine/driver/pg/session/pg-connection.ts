import type { Client } from 'pg';
import { DBAPIError, InterfaceError, OperationalError, ResourceClosedError } from '../../../errors/errors.js';
import { onAbort } from '../../../util/on-abort.js';
import { LONGEST_TIMER } from '../../../util/option-rule.js';
import type {
  Command,
  CommandOptions,
  CommandResult,
  Control,
  DriverConnection,
  Portal,
  ServerStatus,
} from '../../driver.js';
import type { SessionChanges } from '../../session-changes.js';
import { CATALOG_QUERY } from '../../types/type-catalog.js';
import type { CatalogEntry } from '../../types/type-catalog.js';
import { PgWire } from '../wire/pg-wire.js';
import { Cancellation } from './cancellation.js';
import { Executemany } from './executemany.js';
import { PgBatch } from './pg-batch.js';
import type { PgBatchParts, StepResult, WireContext } from './pg-batch.js';
import { cancelledUnsent, isEndOfSession, lostError } from './pg-error.js';
import { PgPortal } from './pg-portal.js';
import { isReadOnlyControl, toStep } from './pg-step.js';
import type { WireCommand } from './pg-step.js';
import { isRepeatable } from './repetition.js';
import type { WriterTask } from './pg-step-writer.js';

/** How long the server may take for a goodbye, and for the Close of a portal. */
const CLOSE_GRACE = 1_000;
const PORTAL_GRACE = 5_000;

const READ_ONLY_TRANSACTION = '25006';

const STATUS: Readonly<Record<string, ServerStatus>> = { I: 'idle', T: 'open', E: 'failed' };

/** In what a session differs from one over a socket to a server. */
export interface SessionTraits {
  /** What the user of `rawConnection()` gets. Default: the client. */
  readonly driverConnection?: unknown;
  /** False: the server can't be asked to cancel; what runs ends by itself. Default true. */
  readonly takesCancel?: boolean;
  /** True: the client was connected elsewhere. Default false. */
  readonly isConnected?: boolean;
  /** True: a flight of several statements says BEGIN and COMMIT, for poolers that take it apart. Default false. */
  readonly isPooled?: boolean;
}

/** A batch on its way: written at once or when those before it have been answered to the end. */
export interface PgTask extends WriterTask {
  readonly parts: PgBatchParts;
  readonly settle: (failure: Error | undefined, batch: PgBatch) => void;
  /** When it is too late to begin, by `performance.now()`: a blocked event loop lets the timer wait. */
  readonly deadline: number;
  /** May be written while others that are so have no answer yet. */
  readonly isPipelined: boolean;
  written: (() => void) | undefined;
  batch: PgBatch;
  startedIn: ServerStatus;
  /** How often it was sent again because its statements were outdated. */
  repetitions: number;
  /** What was answered to the control that was sent with a question. */
  before: StepResult[];
}

/** What leaves as one task. */
interface Flight {
  readonly control: readonly Control[];
  readonly commands: readonly WireCommand[];
  readonly many?: PgBatchParts['many'];
  readonly closePortals?: readonly string[];
  readonly options?: CommandOptions | undefined;
  readonly isAtomic?: boolean;
}

type State = 'open' | 'closing' | 'gone';

/** A pg Client with a queue of its own; pg's is never used. */
export class PgConnection implements DriverConnection {
  readonly #client: Client;
  readonly #context: WireContext;
  readonly #traits: SessionTraits;
  readonly #wire: PgWire;
  readonly #cancellation: Cancellation;
  readonly #waiting: PgTask[] = [];
  #running: PgTask | undefined;
  /** Written behind the running one, in this order. */
  readonly #written: PgTask[] = [];
  readonly #reported = new Map<string, string>();
  #state: State = 'open';
  #names = 0;
  #tasks = 0;
  #lossCause: unknown;
  /** The transaction that is open was started as READ ONLY. */
  #isReadOnly = false;

  constructor(client: Client, context: WireContext, traits: SessionTraits = {}) {
    this.#client = client;
    this.#context = context;
    this.#traits = traits;
    this.#wire = new PgWire(client);
    this.#cancellation = new Cancellation(client, {
      onDelivered: () => this.#next(),
      onFailed: (cause) => this.#lose(cause),
    });
    client.connection.on('parameterStatus', (message: { parameterName: string; parameterValue: string }) => {
      this.#reported.set(message.parameterName, message.parameterValue);
      context.prepared.settings.report(message.parameterName, message.parameterValue);
      context.changes.noteParameter(message.parameterName, message.parameterValue);
    });
    if (traits.isConnected === true) this.#wire.tap();
    if (traits.isConnected === true) this.#listen();
    else client.once('connect', () => this.#listen());
    client.on('error', (error: unknown) => this.#lose(error));
    client.on('end', () => this.#lose(new Error('the server closed the connection')));
  }

  // After pg's own listeners, which it attaches while it connects: they bring the client's state up to date.
  #listen(): void {
    const { connection } = this.#client;
    this.#context.prepared.ready('idle');
    connection.on('readyForQuery', () => this.#onReadyForQuery());
    connection.on('parameterDescription', (message: { dataTypeIDs: readonly number[] }) =>
      this.#running?.batch.handleParameterDescription(message.dataTypeIDs),
    );
    connection.on('copyOutResponse', () => this.#running?.batch.handleCopyOutResponse());
    // Of statements that were given to the client itself; those of a batch note their own.
    connection.on('commandComplete', ({ text }: { text: string }) => {
      this.#context.prepared.handleTag(text, 'SET ALL', true);
      this.changes.noteTag(text, undefined);
    });
  }

  get driverConnection(): unknown {
    return this.#traits.driverConnection ?? this.#client;
  }

  get processId(): number | undefined {
    return (this.#client as Client & { processID?: number }).processID;
  }

  get status(): ServerStatus {
    return STATUS[this.#client.getTransactionStatus() ?? 'I'] ?? 'failed';
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get changes(): SessionChanges {
    return this.#context.changes;
  }

  get isQuiet(): boolean {
    return this.#running === undefined && this.#waiting.length === 0 && !this.#cancellation.isPending;
  }

  /** What the server has reported of a setting, by its name as PostgreSQL writes it. */
  reported(name: string): string | undefined {
    return this.#reported.get(name);
  }

  execute(control: readonly Control[], command: Command, options?: CommandOptions): Promise<CommandResult> {
    // Settings that end with the Sync are lost to the command where a pooler takes the flight apart.
    const isAtomic = this.#traits.isPooled === true && control.length > 0 && this.#isOutside(control);
    return this.#run(
      { control, commands: [command], options, isAtomic },
      (results) => results[0] as CommandResult,
    );
  }

  async executeMany(
    control: readonly Control[],
    commands: readonly Command[],
    options?: CommandOptions,
  ): Promise<CommandResult[]> {
    const [script] = commands;
    if (script?.simple === true) return await this.#runScript(control, script, options);
    const executemany = Executemany.of(commands, this.#context.serializeJson);
    const isAtomic = options?.isAtomic === true && this.#isOutside(control);
    const pageSize = options?.pageSize ?? commands.length;
    const many = executemany && { executemany, pageSize };
    return await this.#run(
      { control, commands: many === undefined ? commands : [], many, options, isAtomic },
      (results) => [...results],
    );
  }

  /** No transaction is open, and `control` opens none. */
  #isOutside(control: readonly Control[]): boolean {
    return this.status === 'idle' && control[0]?.text.startsWith('BEGIN') !== true;
  }

  // A Query message can't share a Sync with others: what must be in front of it is sent and confirmed before.
  async #runScript(
    control: readonly Control[],
    script: Command,
    options: CommandOptions | undefined,
  ): Promise<CommandResult[]> {
    if (control.length > 0) await this.#run({ control, commands: [], options }, () => undefined);
    return await this.#run({ control: [], commands: [script], options }, (results) => [...results]);
  }

  uniqueName(prefix: string): string {
    this.#names += 1;
    return `${prefix}_${this.#names}`;
  }

  openPortal(control: readonly Control[], command: Command, options?: CommandOptions): Portal {
    return new PgPortal(this.uniqueName('nae_portal'), control, command, {
      fetch: (before, fetch) =>
        this.#run({ control: before, commands: [fetch], options }, (results) => results[0] as StepResult),
      closePortal: (name) => this.#closePortal(name),
      isOpen: () => this.isOpen,
    });
  }

  async #closePortal(name: string): Promise<void> {
    const deadline = setTimeout(() => {
      this.#lose(new OperationalError(`the server did not close a cursor within ${PORTAL_GRACE} ms`));
    }, PORTAL_GRACE);
    try {
      await this.#run({ control: [], commands: [], closePortals: [name] }, () => undefined);
    } finally {
      clearTimeout(deadline);
    }
  }

  async cancel(): Promise<void> {
    if (this.#running === undefined || !this.isOpen || this.#traits.takesCancel === false) return;
    await this.#cancellation.start();
  }

  async close(): Promise<void> {
    if (!this.isOpen) return;
    this.#state = 'closing';
    const timer = setTimeout(() => this.#client.connection.stream.destroy(), CLOSE_GRACE);
    await this.#client.end().catch(() => undefined);
    clearTimeout(timer);
    this.#lose(new Error('it was closed by this process'));
  }

  terminate(): void {
    this.#lose(new Error('it was terminated by this process'));
    this.#client.connection.stream.destroy();
  }

  /** `answer` makes of the results of the commands what the caller gets. */
  #run<T>(flight: Flight, answer: (results: readonly StepResult[]) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) throw this.#refusal();
      const parts = this.#partsOf(flight);
      const { options } = flight;
      if (options?.signal?.aborted === true) throw cancelledUnsent(parts.steps);
      const task = this.#taskOf(parts, options, (failure, batch) => {
        unwatch?.();
        if (failure !== undefined) return reject(failure);
        const around = batch.isWrapped ? 1 : 0;
        const results = task.before.length === 0 ? batch.results : [...task.before, ...batch.results];
        resolve(answer(results.slice(flight.control.length + around, results.length - around)));
      });
      const unwatch = watchTask(options, () => this.#interrupt(task));
      if (this.#pipeline(task)) return;
      this.#waiting.push(task);
      this.#next();
    });
  }

  #partsOf({ control, commands, many, closePortals = [], isAtomic = false }: Flight): PgBatchParts {
    const { serializeJson } = this.#context;
    if (control.length + commands.length > 0) this.#expectUtf8(commands);
    const steps = control.map((one) => toStep(one, serializeJson, true));
    for (const command of commands) steps.push(toStep(command, serializeJson));
    return { steps, many, isAtomic, closePortals };
  }

  #expectUtf8(commands: readonly WireCommand[]): void {
    const encoding = this.#reported.get('client_encoding');
    if (encoding === undefined || encoding === 'UTF8' || encoding === 'SQL_ASCII') return;
    if (commands.every(({ text }) => /^\s*(?:SET|RESET|DISCARD|COMMIT|ROLLBACK|RELEASE)\b/i.test(text)))
      return;
    throw new InterfaceError(
      `the session's client_encoding is ${encoding} and values are read and written in UTF8. ` +
        `Run RESET client_encoding, or leave that setting out.`,
      { statement: commands[0]?.text },
    );
  }

  #taskOf(
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
      repetitions: 0,
      asked: new Map(),
      before: [],
    };
    return Object.assign(task, { batch: this.#batchOf(parts, task) });
  }

  /** Writes after those that are under way; false where it has to wait for their answers. */
  #pipeline(task: PgTask): boolean {
    const isFree = this.#waiting.length === 0 && !this.#cancellation.isPending;
    if (!task.isPipelined || this.#running?.isPipelined !== true || !isFree) return false;
    // What throws here has left nothing on the wire.
    task.batch.write();
    this.#written.push(task);
    this.#wire.sendSoon();
    tellWritten(task);
    return true;
  }

  #batchOf(parts: PgBatchParts, task: WriterTask): PgBatch {
    return new PgBatch(this.#context, this.#wire, parts, task, {
      finished: () => this.#finish(),
      broken: (error) => this.#lose(error),
    });
  }

  #refusal(): Error {
    if (this.#lossCause !== undefined) return lostError(this.#lossCause);
    return new ResourceClosedError('the session is closed. Take another connection from the pool.');
  }

  #next(): void {
    if (this.#running !== undefined || !this.isOpen) return;
    // What is on the wire already is answered whatever else there is.
    const written = this.#written.shift();
    const task = written ?? (this.#cancellation.isPending ? undefined : this.#waiting.shift());
    if (task === undefined) return;
    const isLate = task.deadline !== Infinity && performance.now() > task.deadline;
    const refusal = isLate ? cancelledUnsent(task.parts.steps) : written === undefined && this.#write(task);
    if (refusal instanceof Error) {
      task.settle(refusal, task.batch);
      return this.#next();
    }
    this.#running = task;
    try {
      this.#client.query(task.batch);
      task.written?.();
    } catch (error) {
      this.#lose(error);
    }
  }

  /** Gives the reason why nothing of it could be written. */
  #write(task: PgTask): Error | undefined {
    if (task.repetitions === 0 && task.before.length === 0) task.startedIn = this.status;
    if (this.status === 'idle') this.#isReadOnly = false;
    if (task.parts.steps.some(isReadOnlyControl)) this.#isReadOnly = true;
    try {
      task.batch.write();
      tellWritten(task);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error : new InterfaceError(String(error), { cause: error });
    }
  }

  // pg passes ReadyForQuery to the batch after a success; after an error it has forgotten the batch by then.
  #onReadyForQuery(): void {
    this.#context.prepared.ready(this.status);
    if (this.#running?.batch.failure !== undefined) this.#finish();
  }

  #finish(): void {
    const task = this.#running;
    if (task === undefined) return;
    if (!task.batch.isAnswered) return this.#lose(unanswered());
    this.#running = undefined;
    this.#cancellation.end();
    if (!this.#goesOn(task)) task.settle(this.#classified(task), task.batch);
    this.#next();
  }

  /** A write that is refused where nothing asked for a read-only transaction: the server is no primary any more. */
  #classified({ batch, parts }: PgTask): Error | undefined {
    const { error } = batch;
    const isRefusedWrite = error instanceof DBAPIError && error.sqlState === READ_ONLY_TRANSACTION;
    if (!isRefusedWrite || this.#context.wantsWrites !== true) return error;
    if (!this.#isReadOnly && !parts.steps.some(isReadOnlyControl)) error.connectionInvalidated = true;
    return error;
  }

  /** True: the task has more to send before it has an answer. */
  #goesOn(task: PgTask): boolean {
    const { batch } = task;
    if (batch.failure !== undefined && this.#repeats(task)) return true;
    if (batch.isWrapped && batch.error !== undefined && this.status !== 'idle') {
      this.#rollBack(() => task.settle(batch.error, batch));
      return true;
    }
    if (batch.error !== undefined) return false;
    const unknown = batch.unknownTypes;
    if (unknown.length > 0) this.#first(this.#lookUp(unknown, task));
    else if (batch.isQuestion) this.#continue(task);
    return unknown.length > 0 || batch.isQuestion;
  }

  /** Sends the commands whose types are known by now; the control is in force already, unless it ended with its Sync. */
  #continue(task: PgTask): void {
    const isKept = this.status !== 'idle';
    const steps = isKept ? task.parts.steps.filter(({ isControl }) => !isControl) : task.parts.steps;
    if (isKept) task.before.push(...task.batch.results);
    task.batch = this.#batchOf({ ...task.parts, steps, closePortals: [] }, task);
    this.#first(task);
  }

  /** Asks the database about types, and lets the task go on. */
  #lookUp(typeOids: readonly number[], task: PgTask): PgTask {
    const step = toStep({ text: CATALOG_QUERY, values: [`{${typeOids.join(',')}}`], prepare: false });
    const parts = { steps: [step], many: undefined, isAtomic: false, closePortals: [] };
    return this.#taskOf(parts, undefined, (failure, { results }) => {
      if (failure !== undefined) return task.settle(failure, task.batch);
      this.#context.types.catalog.add(typeOids, (results[0]?.rows ?? []) as unknown as CatalogEntry[]);
      if (task.batch.isQuestion) return this.#continue(task);
      task.batch.readRest();
      task.settle(task.batch.error, task.batch);
    });
  }

  /**
   * A failure of what was parsed against something else than what is there now: it is parsed anew, where nothing
   * has happened yet. A flight that has begun a transaction leaves it failed, and it is rolled back first.
   */
  #repeats(task: PgTask): boolean {
    const isOutdated = isRepeatable(task, this.#context.prepared);
    if (!isOutdated || task.startedIn !== 'idle' || this.status === 'open' || !this.isOpen) return false;
    task.repetitions += 1;
    task.before.length = 0;
    task.asked.clear();
    task.batch = this.#batchOf({ ...task.parts, closePortals: [] }, task);
    this.#first(task);
    if (this.status === 'failed') this.#rollBack(() => undefined);
    return true;
  }

  /** Ends, before anything else is sent, the transaction that a flight has left open. */
  #rollBack(onDone: () => void): void {
    const steps = [toStep({ text: 'ROLLBACK', prepare: false }, undefined, true)];
    const parts = { steps, many: undefined, isAtomic: false, closePortals: [] };
    this.#first(
      this.#taskOf(parts, undefined, (failure) => {
        onDone();
        if (failure !== undefined) this.#lose(failure);
      }),
    );
  }

  #first(task: PgTask): void {
    this.#waiting.unshift(task);
  }

  #interrupt(task: PgTask): void {
    if (this.#running === task) {
      void this.cancel();
      return;
    }
    const index = this.#waiting.indexOf(task);
    if (index === -1) return;
    this.#waiting.splice(index, 1);
    task.settle(cancelledUnsent(task.parts.steps), task.batch);
  }

  #lose(cause: unknown): void {
    if (this.#state === 'gone') return;
    this.#state = 'gone';
    this.#cancellation.end();
    this.#context.prepared.end();
    // What the server said last (57P01, for instance) tells more than the end of the stream.
    const farewell = this.#running?.batch.failure;
    this.#lossCause = isEndOfSession(farewell) ? farewell : cause;
    const tasks = [this.#running, ...this.#written.splice(0), ...this.#waiting.splice(0)];
    this.#running = undefined;
    for (const task of tasks) task?.settle(lostError(this.#lossCause, task.batch.current?.text), task.batch);
    this.#client.connection.stream.destroy();
  }
}

/** Once, however often it is sent. */
function tellWritten(task: PgTask): void {
  task.written?.();
  task.written = undefined;
}

function unanswered(): InterfaceError {
  return new InterfaceError(
    'the server answered more or fewer statements than it was sent, so that answers can no longer be told apart.',
    { connectionInvalidated: true },
  );
}

/** Calls `interrupt` when the command's time has passed or its signal is aborted; returns what ends the watch. */
function watchTask(options: CommandOptions | undefined, interrupt: () => void): (() => void) | undefined {
  const { timeout, signal } = options ?? {};
  if (timeout === undefined && signal === undefined) return undefined;
  const isTimed = timeout !== undefined && timeout <= LONGEST_TIMER;
  const timer = isTimed ? setTimeout(interrupt, timeout) : undefined;
  const ignore = signal && onAbort(signal, interrupt);
  return () => {
    clearTimeout(timer);
    ignore?.();
  };
}
