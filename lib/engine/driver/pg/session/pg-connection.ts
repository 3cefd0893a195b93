import type { Client } from 'pg';
import type {
  AnswerReceiver,
  Command,
  CommandOptions,
  CommandResult,
  Control,
  DriverConnection,
  Portal,
  ServerStatus,
  SessionNotice,
  SessionServer,
} from '../../driver.js';
import { changesOf, type SessionChanges } from '../../session-changes.js';
import type { TransactionMark } from '../../transaction-mark.js';
import { OWN_QUERY, tellPatch } from '../wire/patched-client.js';
import { PgWire, type WireListener } from '../wire/pg-wire.js';
import { Executemany } from './executemany.js';
import type { WireContext } from './batch-parts.js';
import { expectUtf8, questionBehind, textOf, type Flight } from './flight.js';
import { toStep, type StepResult } from './pg-step.js';
import { PgPortal } from './pg-portal.js';
import { withSetLocal } from './set-local.js';
import { TaskQueue } from './task-queue.js';
import { TransactionEnds } from '../../transaction-ends.js';

/** How long the server may take for a goodbye. */
const CLOSE_GRACE = 1_000;

/** In what a session differs from one over a socket to a server. */
export interface SessionTraits {
  /** What the user of `rawConnection()` gets. Default: the client. */
  readonly driverConnection?: unknown;
  /** False: the server can't be asked to cancel; what runs ends by itself. Default true. */
  readonly takesCancel?: boolean;
  /** True: the client was connected elsewhere. Default false. */
  readonly isConnected?: boolean;
  /**
   * True: a flight of several statements says BEGIN and COMMIT, for poolers that take it apart. Default
   * false.
   */
  readonly isPooled?: boolean;
  readonly role?: SessionServer['role'];
}

/** What is sent and not known here. */
const FOREIGN: Command = { text: '' };

/** A pg Client with a queue of its own; pg's is never used. */
export class PgConnection implements DriverConnection, WireListener {
  readonly changes: SessionChanges;
  /** What the server has said with its last ReadyForQuery. */
  status: ServerStatus = 'idle';
  transactionEnds = 0;
  readonly #client: Client;
  readonly #context: WireContext;
  readonly #traits: SessionTraits;
  readonly wire: PgWire;
  readonly #queue: TaskQueue;
  /**
   * True: settings that end with the Sync would be lost to the command, where a pooler takes the flight apart
   * or SET LOCAL looks for a transaction.
   */
  readonly #needsBlocks: boolean;
  readonly #ends = new TransactionEnds();
  /** Counts each ReadyForQuery. */
  #flights = 1;
  /** That of the values on the wire. */
  #encoding = 'UTF8';
  #names = 0;
  #server: SessionServer | undefined;
  onNotice: ((notice: SessionNotice) => void) | undefined;

  constructor(client: Client, context: WireContext, traits: SessionTraits = {}) {
    this.#client = client;
    this.#context = context;
    this.#traits = traits;
    this.changes = context.changes;
    this.#needsBlocks = traits.isPooled === true || context.settingsAs === 'set local';
    const wire = (this.wire = new PgWire(client, context.slabs, this));
    this.#queue = new TaskQueue(client, context, wire, {
      session: this,
      takesCancel: traits.takesCancel !== false,
    });
    client.connection.on('parameterStatus', (message: { parameterName: string; parameterValue: string }) => {
      const { parameterName: name, parameterValue: value } = message;
      const before = context.reported.get(name);
      if (before === value) return;
      context.reported.set(name, value);
      if (name === 'client_encoding') this.#encoding = value;
      context.prepared.settings.report(name, before, value);
      context.changes.noteParameter(name, before, value);
    });
    // What was given to the client itself has names of its own.
    context.prepared.onVanish = () =>
      Object.assign(client.connection, { parsedStatements: {}, submittedNamedStatements: {} });
    if (traits.isConnected === true) wire.tap();
    if (traits.isConnected === true) this.#listen();
    else client.once('connect', () => this.#listen());
    client.on('notice', ({ severity = 'NOTICE', message = '', code, detail, hint }) => {
      const notice = { severity, message, sqlState: code, detail, hint };
      this.#queue.batch?.handleNotice(notice);
      this.onNotice?.(notice);
    });
    client.on('error', (error: unknown) => this.#queue.lose(error));
    client.on('end', () => this.#queue.lose(new Error('the server closed the connection')));
  }

  // After pg's own listeners, which it attaches while it connects: they bring the client's state up to date.
  #listen(): void {
    const { connection } = this.#client;
    // Of statements that were given to the client itself; those of a batch note their own.
    connection.on('commandComplete', ({ text }: { text: string }) => {
      const statement = runningText(this.#client);
      this.#context.prepared.handleTag(text, 'SET ALL', true);
      this.changes.noteTag(text, undefined);
      if (this.#queue.isLent && statement !== undefined) this.changes.add(changesOf(statement));
      else this.changes.noteClientUse();
      if (this.#ends.isEnd(text, statement, this.#flights)) this.transactionEnds += 1;
      this.#context.witness?.noteForeign();
    });
  }

  ready(status: ServerStatus): void {
    this.status = status;
    this.#flights += 1;
    if (status === 'idle') this.transactionEnds += 1;
    this.#context.prepared.ready(status);
    if (status === 'idle') this.#context.witness?.reset();
  }

  described(typeOids: readonly number[]): void {
    this.#queue.batch?.handleParameterDescription(typeOids);
  }

  copiesOut(): void {
    this.#queue.batch?.handleCopyOutResponse();
  }

  get driverConnection(): unknown {
    return this.#traits.driverConnection ?? this.#client;
  }

  get client(): Client {
    return this.#client;
  }

  get processId(): number | undefined {
    return (this.#client as Client & { processID?: number }).processID;
  }

  get roundTrips(): number {
    return this.#queue.roundTrips;
  }

  get server(): SessionServer | undefined {
    if (this.#traits.driverConnection !== undefined) return undefined;
    const { host, port, database, user, ssl } = this.#client;
    return (this.#server ??= { host, port, database, user, ssl: Boolean(ssl), role: this.#traits.role });
  }

  get transactionMark(): TransactionMark | undefined {
    return this.#context.witness?.mark;
  }

  get isOpen(): boolean {
    return this.#queue.state === 'open';
  }

  get isQuiet(): boolean {
    return this.#queue.isQuiet;
  }

  /** No answer is due: the server waits for rows, or until rows are taken. */
  get awaitsApplication(): boolean {
    return this.#queue.batch?.copy?.awaitsApplication === true;
  }

  execute(
    control: readonly Control[],
    command: Command,
    options?: CommandOptions,
    receiver?: AnswerReceiver,
  ): Promise<CommandResult> {
    const isAtomic = control.length > 0 && this.#needsBlocks && this.#isOutside(control);
    const flight = { control, commands: [command], options, isAtomic };
    if (receiver === undefined) return this.#run(flight, ([result]) => result as CommandResult);
    receiver.isTold = true;
    return this.#run(
      flight,
      ([result]) => {
        receiver.answered(result as CommandResult);
        return result as CommandResult;
      },
      (failure) => receiver.failed(failure),
    );
  }

  async executeMany(
    ...[control, commands, options]: Parameters<DriverConnection['executeMany']>
  ): Promise<CommandResult[]> {
    const [script] = commands;
    if (script?.simple === true) return await this.#runScript(control, script, options);
    const executemany = options?.isBatch === true ? undefined : Executemany.of(commands, this.#context);
    const needsBlock = options?.isAtomic === true || (control.length > 0 && this.#needsBlocks);
    const isAtomic = needsBlock && this.#isOutside(control);
    const pageSize = options?.pageSize ?? commands.length;
    const many = executemany && { executemany, pageSize, onProgress: options?.onProgress };
    return await this.#run(
      { control, commands: many === undefined ? commands.slice(0) : [], many, options, isAtomic },
      (results) => [...results],
    );
  }

  /** No transaction is open, and `control` opens none. */
  #isOutside(control: readonly Control[]): boolean {
    return this.status === 'idle' && control[0]?.text.startsWith('BEGIN') !== true;
  }

  /**
   * Sends `control` as a flight of its own, for what can't share a Sync with it and is queued in this turn,
   * so that nothing comes between. Gives what says then why it must not be sent.
   */
  #sendBefore(
    control: readonly Control[],
    options: CommandOptions | undefined,
  ): (() => Error | undefined) | undefined {
    if (control.length === 0) return undefined;
    let refusal: Error | undefined;
    const failed = (failure: unknown): unknown => (refusal = failure as Error);
    this.#run({ control, commands: [], options }, () => undefined, failed).catch(() => undefined);
    return () => refusal;
  }

  async #runScript(
    control: readonly Control[],
    script: Command,
    options: CommandOptions | undefined,
  ): Promise<CommandResult[]> {
    const refusal = this.#sendBefore(control, options);
    const answer = this.#run({ control: [], commands: [script], options, refusal }, (results) => [
      ...results,
    ]);
    this.#askApart(control);
    return await answer;
  }

  uniqueName(prefix: string): string {
    this.#names += 1;
    return `${prefix}_${this.#names}`;
  }

  openPortal(control: readonly Control[], command: Command, options?: CommandOptions): Portal {
    return new PgPortal(this.uniqueName('nae_portal'), control, command, {
      fetch: (before, fetch) =>
        this.#run({ control: before, commands: [fetch], options }, (results) => results[0] as StepResult),
      closePortal: (name) => this.#run({ control: [], commands: [], closePortals: [name] }, () => undefined),
      isOpen: () => this.isOpen,
    });
  }

  async lend(
    control: readonly Control[],
    use: (client: unknown) => void,
    options?: CommandOptions,
  ): Promise<CommandResult> {
    if (!this.isOpen) throw this.#queue.refusal();
    const refusal = this.#sendBefore(control, options);
    const answer = this.#queue.lend((client) => {
      const reason = refusal?.();
      if (reason !== undefined) throw reason;
      use(client);
    }, options);
    this.#askApart(control);
    return await answer;
  }

  /** Behind what has no room for a question under its Sync: in a flight that is not waited for. */
  #askApart(control: readonly Control[]): void {
    const { witness } = this.#context;
    const question = witness && questionBehind(witness, this.status, control, [FOREIGN]);
    if (question !== undefined)
      void this.#run({ control: [], commands: [], question }, () => undefined).catch(() => undefined);
  }

  async cancel(): Promise<void> {
    await this.#queue.cancel();
  }

  async close(): Promise<void> {
    if (!this.isOpen) return;
    this.#queue.close();
    const timer = setTimeout(() => this.#client.connection.stream.destroy(), CLOSE_GRACE);
    await this.#client.end().catch(() => undefined);
    clearTimeout(timer);
    this.#queue.lose(new Error('it was closed by this process'));
  }

  terminate(): void {
    this.#queue.lose(new Error('it was terminated by this process'));
    this.#client.connection.stream.destroy();
  }

  /** `answer` and `failed` make of the results of the commands, or of a failure, what the caller gets. */
  #run<T>(
    flight: Flight,
    answer: (results: readonly StepResult[]) => T,
    failed: (failure: unknown) => unknown = sameFailure,
  ): Promise<T> {
    const answered = new Promise<T>((resolve, reject) => {
      try {
        if (!this.isOpen) throw this.#queue.refusal();
        const { control, commands, many, closePortals = [], isAtomic = false, options, refusal } = flight;
        if (this.#encoding !== 'UTF8') expectUtf8(this.#encoding, control, commands);
        const { serializeJson, settingsAs, witness } = this.#context;
        const sent = settingsAs === 'set local' ? withSetLocal(control) : control;
        const steps = sent.map((one) => toStep(one, serializeJson, true));
        const before = steps.length;
        for (const command of commands) steps.push(toStep(command, serializeJson));
        const isScript = steps.at(-1)?.simple === true;
        const behind = many === undefined ? commands : [many.executemany.first];
        const isAsking = witness !== undefined && !isScript;
        const question =
          flight.question ?? (isAsking ? questionBehind(witness, this.status, control, behind) : undefined);
        const parts = { steps, many, isAtomic, closePortals, refusal, question };
        this.#queue.run(parts, options, (failure, batch, asked) => {
          if (failure !== undefined) return reject(failed(failure));
          const results = asked.length === 0 ? batch.results : [...asked, ...batch.results];
          try {
            resolve(answer(results.slice(before + (batch.isWrapped ? 1 : 0))));
          } catch (error) {
            reject(error);
          }
        });
      } catch (error) {
        reject(failed(error));
      }
    });
    if (this.#client.query !== OWN_QUERY) tellPatch(this.#client, textOf(flight), answered);
    return answered;
  }
}

const sameFailure = (failure: unknown): unknown => failure;

/** What was given to the client itself and runs now. */
function runningText(client: Client): string | undefined {
  const { _activeQuery } = client as { _activeQuery?: { readonly text?: string } | null };
  return _activeQuery?.text;
}
