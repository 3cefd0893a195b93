import type { Client } from 'pg';
import { InterfaceError, OperationalError, ResourceClosedError } from '../../../errors/errors.js';
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
import { sendCancelRequest } from './cancel-request.js';
import { PgBatch } from './pg-batch.js';
import type { ParameterDescription, PgBatchParts, WireContext } from './pg-batch.js';
import { cancelledUnsent, isEndOfSession, lostError, staleness } from './pg-error.js';
import { PgPages } from './pg-pages.js';
import { PgPortal } from './pg-portal.js';
import { sqlOf, toStep } from './pg-step.js';
import type { WireCommand } from './pg-step.js';
import { PgWire } from '../wire/pg-wire.js';
import { watchTask } from './pg-task.js';
import type { PgTask } from './pg-task.js';
import type { SessionTraits } from './session-traits.js';

interface ParameterStatus {
  readonly parameterName: string;
  readonly parameterValue: string;
}

/** How long a cancelled statement may take to end before the session is dropped. */
const CANCEL_GRACE = 5_000;
/** How long until it is asked once more to cancel a statement that runs on. */
const CANCEL_AGAIN = 100;
/** How long the server may take to hear a goodbye. */
const CLOSE_GRACE = 1_000;

const STATUS: Readonly<Record<string, ServerStatus>> = { I: 'idle', T: 'open', E: 'failed' };

type State = 'open' | 'closing' | 'gone';

/** A pg Client with a queue of its own; pg's is never used. */
export class PgConnection implements DriverConnection {
  readonly #client: Client;
  readonly #context: WireContext;
  readonly #traits: SessionTraits;
  readonly #wire: PgWire;
  readonly #waiting: PgTask[] = [];
  #running: PgTask | undefined;
  /** Written behind the running one, in this order. */
  readonly #written: PgTask[] = [];
  #state: State = 'open';
  /**
   * Cancel requests under way. Nothing is written until they are delivered: they would hit the next
   * statement.
   */
  #cancels = 0;
  #names = 0;
  #lossCause: unknown;

  constructor(client: Client, context: WireContext, traits: SessionTraits = {}) {
    this.#client = client;
    this.#context = context;
    this.#traits = traits;
    this.#wire = new PgWire(client);
    client.connection.on('parameterStatus', (message: ParameterStatus) =>
      this.changes.noteParameter(message.parameterName, message.parameterValue),
    );
    if (traits.isConnected === true) this.#wire.tap();
    if (traits.isConnected === true) this.#listen();
    else client.once('connect', () => this.#listen());
    client.on('error', (error: unknown) => this.#lose(error));
    client.on('end', () => this.#lose(new Error('the server closed the connection')));
  }

  // Behind pg's own listeners, which it attaches while it connects: they bring the client's state up to date.
  #listen(): void {
    const { connection } = this.#client;
    connection.on('readyForQuery', () => this.#onReadyForQuery());
    connection.on('parameterDescription', (message: ParameterDescription) =>
      this.#running?.batch.handleParameterDescription(message),
    );
    // Of statements that the user of the client sends by itself; those of a batch note their own.
    connection.on('commandComplete', ({ text }: { readonly text: string }) =>
      this.changes.noteTag(text, undefined),
    );
    connection.on('copyOutResponse', () => this.#running?.batch.handleCopyOutResponse());
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
    return this.#running === undefined && this.#waiting.length === 0 && this.#cancels === 0;
  }

  execute(control: readonly Control[], command: Command, options?: CommandOptions): Promise<CommandResult> {
    const last = control.length;
    return this.#run([...control, command], [], options, (batch) => batch.results[last] as CommandResult);
  }

  async executeMany(
    control: readonly Control[],
    commands: readonly Command[],
    options?: CommandOptions,
  ): Promise<CommandResult[]> {
    const [script] = commands;
    if (script?.simple === true) return await this.#runScript(control, script, options);
    const pages = new PgPages(commands, options?.pageSize ?? commands.length, this.#context);
    const first = [...control, ...pages.first];
    return await this.#run(first, [], options, (batch) => batch.results.slice(control.length), pages);
  }

  // A Query message can't share a Sync with others: what must be in front of it travels, and is confirmed,
  // before.
  async #runScript(
    control: readonly Control[],
    script: Command,
    options: CommandOptions | undefined,
  ): Promise<CommandResult[]> {
    if (control.length > 0) await this.#run(control, [], options, () => undefined);
    return await this.#run([script], [], options, (batch) => batch.results);
  }

  uniqueName(prefix: string): string {
    this.#names += 1;
    return `${prefix}_${this.#names}`;
  }

  openPortal(control: readonly Control[], command: Command, options?: CommandOptions): Portal {
    return new PgPortal(this.uniqueName('nae_portal'), control, command, {
      fetch: (commands) => this.#run(commands, [], options, (batch) => batch.results),
      closePortal: (name) => this.#run([], [name], undefined, () => undefined),
      isOpen: () => this.isOpen,
    });
  }

  async cancel(): Promise<void> {
    const task = this.#running;
    if (task === undefined || !this.isOpen || this.#traits.takesCancel === false) return;
    const deadline = setTimeout(() => this.#giveUp(task), CANCEL_GRACE);
    deadline.unref();
    await this.#requestCancel(task);
  }

  async #requestCancel(task: PgTask): Promise<void> {
    if (this.#running !== task || !this.isOpen) return;
    this.#cancels += 1;
    try {
      await sendCancelRequest(this.#client, CANCEL_GRACE);
      // The server has no ear for it before it has begun with the statement.
      setTimeout(() => void this.#requestCancel(task), CANCEL_AGAIN).unref();
    } catch (error) {
      // Whoever waits for the statement would wait for as long as it likes to run.
      if (this.#running === task) this.#lose(error);
    } finally {
      this.#cancels -= 1;
      this.#next();
    }
  }

  #giveUp(task: PgTask): void {
    if (this.#running !== task) return;
    this.#lose(new OperationalError(`a cancelled statement did not end within ${CANCEL_GRACE} ms`));
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

  #run<T>(
    commands: readonly WireCommand[],
    closePortals: readonly string[],
    options: CommandOptions | undefined,
    answer: (batch: PgBatch) => T,
    pages?: PgPages,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) throw this.#refusal();
      const steps = commands.map((command) => toStep(command, this.#context.serializeJson));
      if (options?.signal?.aborted === true) throw cancelledUnsent(steps);
      const task: PgTask = {
        steps,
        closePortals,
        pages,
        settle: (failure, batch) => {
          unwatch?.();
          if (failure === undefined) resolve(answer(batch));
          else reject(failure);
        },
        deadline: options?.timeout === undefined ? Infinity : performance.now() + options.timeout,
        batch: this.#batchOf({ steps, closePortals, pages }),
        startedIn: 'idle',
        isPipelined: options?.isPipelined === true && pages === undefined,
        isRetried: false,
        written: options?.written,
      };
      const unwatch = watchTask(options, () => this.#interrupt(task));
      if (this.#pipeline(task)) return;
      this.#waiting.push(task);
      this.#next();
    });
  }

  /** Writes behind those that are under way; false where it has to wait for their answers. */
  #pipeline(task: PgTask): boolean {
    const isFree = this.#waiting.length === 0 && this.#cancels === 0;
    if (!task.isPipelined || this.#running?.isPipelined !== true || !isFree) return false;
    this.#written.push(task);
    task.batch.write();
    task.written?.();
    return true;
  }

  #batchOf(parts: PgBatchParts): PgBatch {
    return new PgBatch(this.#context, this.#wire, parts, () => this.#finish());
  }

  #refusal(): Error {
    if (this.#lossCause !== undefined) return lostError(this.#lossCause);
    return new ResourceClosedError('the session is closed. Take another connection from the pool.');
  }

  #next(): void {
    if (this.#running !== undefined || !this.isOpen) return;
    // What is on the wire already is answered whatever else there is.
    const task = this.#written.shift() ?? (this.#cancels > 0 ? undefined : this.#waiting.shift());
    if (task === undefined) return;
    if (task.deadline !== Infinity && performance.now() > task.deadline) {
      task.settle(cancelledUnsent(task.steps), task.batch);
      return this.#next();
    }
    this.#running = task;
    task.startedIn = this.status;
    try {
      this.#client.query(task.batch);
      task.written?.();
    } catch (error) {
      // Half a batch is on the wire and nothing can be put behind it.
      this.#lose(error);
    }
  }

  // pg passes ReadyForQuery to the batch after a success; after an error it has forgotten the batch by then.
  #onReadyForQuery(): void {
    if (this.#running?.batch.failure !== undefined) this.#finish();
  }

  #finish(): void {
    const task = this.#running;
    if (task === undefined) return;
    if (!task.batch.isAnswered) return this.#lose(unanswered());
    this.#running = undefined;
    if (this.#startsAgain(task)) return;
    task.settle(task.batch.error, task.batch);
    this.#next();
  }

  /**
   * A plan that DDL made invalid (0A000) or a name that DISCARD ALL or a pooler took away (26000): the
   * statement is parsed anew. Inside a transaction the server has failed it already, so there the error is
   * the user's.
   */
  #startsAgain(task: PgTask): boolean {
    const stale = staleness(task.batch.failure);
    if (stale === 'none') return false;
    if (stale === 'names') this.#context.prepared.forgetAll();
    else for (const step of task.batch.steps) this.#context.prepared.forget(sqlOf(step));
    if (task.isRetried || task.startedIn !== 'idle' || this.status !== 'idle') return false;
    task.isRetried = true;
    task.batch = this.#batchOf(task);
    this.#waiting.unshift(task);
    this.#next();
    return true;
  }

  #interrupt(task: PgTask): void {
    if (this.#running === task) {
      void this.cancel();
      return;
    }
    const index = this.#waiting.indexOf(task);
    if (index === -1) return;
    this.#waiting.splice(index, 1);
    task.settle(cancelledUnsent(task.steps), task.batch);
  }

  #lose(cause: unknown): void {
    if (this.#state === 'gone') return;
    this.#state = 'gone';
    // What the server said last (57P01, for instance) tells more than the end of the stream.
    const farewell = this.#running?.batch.failure;
    this.#lossCause = isEndOfSession(farewell) ? farewell : cause;
    const tasks = [this.#running, ...this.#written.splice(0), ...this.#waiting.splice(0)];
    this.#running = undefined;
    for (const task of tasks) task?.settle(lostError(this.#lossCause, task.batch.current?.text), task.batch);
    this.#client.connection.stream.destroy();
  }
}

function unanswered(): InterfaceError {
  return new InterfaceError(
    'the server answered more or fewer statements than it was sent, so that answers can no longer be told apart.',
    { connectionInvalidated: true },
  );
}
