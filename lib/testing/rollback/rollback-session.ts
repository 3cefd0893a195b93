import { IllegalStateError, ResourceClosedError, transactionCommand } from '../../engine/index.js';
import type {
  Command,
  CommandList,
  CommandOptions,
  CommandResult,
  Control,
  DriverConnection,
  Portal,
  ServerStatus,
  SessionServer,
  TransactionCommand,
} from '../../engine/index.js';
import { CommitEffects } from './commit-effects.js';
import { unprepared, type Piece } from './piece.js';
import { READ_ONLY, runGuarded } from './savepoint.js';
import type { NestingLevel, TestTransactionContext } from './nesting-level.js';
import { ReadOnlyTransaction } from './read-only-transaction.js';
import { RollbackPortal } from './rollback-portal.js';
import { TurnQueue } from './turn-queue.js';
import { WriteTransaction, answer, transactionAborted } from './write-transaction.js';

// An isolation level is taken without effect, however it is said: the server wants it before the first query.
const SET_TRANSACTION =
  /^(?:\s|--[^\n]*\n|\/\*(?:[^*]|\*(?!\/))*\*\/)*SET\s+(?:(?:LOCAL|SESSION)\s+)?(?:TRANSACTION\s[^;]*\b(?:ISOLATION|DEFERRABLE)\b|(?:"transaction_(?:isolation|deferrable)"|transaction_(?:isolation|deferrable)\b))/i;

/** The place of a session: its own part of the test's transaction. */
export interface SessionPlace extends TestTransactionContext, NestingLevel {
  ended(session: RollbackSession): void;
  /** A statement went out; the outer transaction must still be there. */
  check(statement: string): void;
}

/**
 * What a borrower takes for a session of its own: BEGIN is a savepoint of the test's transaction, and COMMIT
 * its release.
 */
export class RollbackSession implements DriverConnection {
  readonly #place: SessionPlace;
  // The order in which commands were handed over is the order in which they run, also where other work takes
  // a turn between.
  readonly #line = new TurnQueue(0);
  #holders: readonly RollbackSession[] = [];
  #state: 'open' | 'closed' = 'open';
  #block: WriteTransaction | ReadOnlyTransaction | undefined;
  #running = 0;
  #onWire = 0;
  #last = '(no statement)';

  constructor(place: SessionPlace) {
    this.#place = place;
  }

  /**
   * The sessions that the borrower holds already, innermost first: work here takes place inside their
   * transactions.
   */
  nestIn(holders: readonly RollbackSession[]): void {
    this.#holders = holders;
  }

  get driverConnection(): unknown {
    return this.#place.session.driverConnection;
  }

  get client(): unknown {
    return this.#place.session.client;
  }

  get isPart(): boolean {
    return true;
  }

  get processId(): number | undefined {
    return this.#place.session.processId;
  }

  get server(): SessionServer | undefined {
    return this.#place.session.server;
  }

  get status(): ServerStatus {
    return this.#block === undefined ? 'idle' : this.#block.status;
  }

  get isOpen(): boolean {
    return this.#state === 'open' && this.#place.session.isOpen;
  }

  get isQuiet(): boolean {
    return this.#running === 0;
  }

  /** What it was asked last, for complaints. */
  get lastStatement(): string {
    return this.#last;
  }

  async execute(
    control: readonly Control[],
    command: Command,
    options?: CommandOptions,
  ): Promise<CommandResult> {
    const results = await this.executeMany(control, [command], options);
    return results[results.length - 1] ?? answer('');
  }

  async executeMany(
    control: readonly Control[],
    list: CommandList,
    options?: CommandOptions,
  ): Promise<CommandResult[]> {
    const commands = list.slice(0);
    const signal = options?.signal;
    const own = await this.#controlled(control, commands, signal);
    if (own !== undefined) return own;
    return await this.perform({
      control,
      // A plan made before a ROLLBACK that no transaction of the application has seen would be stale.
      commands: commands.map((command) => ({ ...command, prepare: false })),
      signal,
      send: (opening, unnamed) => this.#place.session.executeMany(opening, unnamed, options),
    });
  }

  uniqueName(prefix: string): string {
    return this.#place.session.uniqueName(prefix);
  }

  openPortal(control: readonly Control[], command: Command, options?: CommandOptions): Portal {
    return new RollbackPortal(control, command, {
      open: (opening, unnamed) => this.#place.session.openPortal(opening, unnamed, options),
      send: (opening) => this.#place.session.executeMany(opening, []),
      signal: options?.signal,
      perform: (piece) => this.perform(piece),
    });
  }

  async lend(
    control: readonly Control[],
    use: (client: unknown) => void,
    options?: CommandOptions,
  ): Promise<CommandResult> {
    return await this.perform({
      control,
      commands: [],
      signal: options?.signal,
      send: (opening) => this.#place.session.lend(opening, use, options),
    });
  }

  async cancel(): Promise<void> {
    if (this.#onWire > 0) await this.#place.session.cancel();
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    await this.#leaveBlock();
    this.#state = 'closed';
    this.#place.ended(this);
  }

  terminate(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    void this.#leaveBlock().finally(() => this.#place.ended(this));
  }

  /** Runs one piece in its place. */
  async perform<T>(piece: Piece<T>): Promise<T> {
    this.#last = [...piece.control, ...piece.commands].at(-1)?.text ?? this.#last;
    this.#running += 1;
    const leave = await this.#line.take();
    try {
      if (!this.isOpen) throw this.#refusal();
      return await this.#inPlace({
        ...piece,
        send: (opening, commands) => this.#send(piece, opening, commands),
      });
    } finally {
      leave();
      this.#running -= 1;
    }
  }

  async #send<T>(piece: Piece<T>, opening: readonly Control[], commands: readonly Command[]): Promise<T> {
    this.#onWire += 1;
    try {
      return await piece.send(opening, commands);
    } finally {
      this.#onWire -= 1;
      this.#place.check(this.#last);
    }
  }

  async #inPlace<T>(piece: Piece<T>): Promise<T> {
    const begin = piece.control.find(({ text }) => transactionCommand(text)?.kind === 'begin');
    if (this.#block === undefined && begin !== undefined) {
      if (!/\bREAD ONLY\b/i.test(begin.text)) return await this.#begin(begin, piece);
      this.#block = new ReadOnlyTransaction(
        piece.control.filter(({ text }) => transactionCommand(text) === undefined),
      );
    }
    const block = this.#block;
    if (block instanceof WriteTransaction) return await block.run(piece);
    return await this.#guarded(block, piece);
  }

  async #begin<T>(begin: Control, piece: Piece<T>): Promise<T> {
    const block = await WriteTransaction.enter(this.#place, this.#level(), piece.control, piece.signal);
    const opening = block.opening(begin, () => {
      this.#block = block;
    });
    const mapped = piece.control.map((one) => (one === begin ? opening : one));
    try {
      return await block.run({ ...piece, send: (_, commands) => piece.send(mapped, commands) });
    } finally {
      if (!block.isOpen) block.abandon();
    }
  }

  async #guarded<T>(block: ReadOnlyTransaction | undefined, piece: Piece<T>): Promise<T> {
    if (block?.status === 'failed') throw transactionAborted(piece.commands.at(-1)?.text ?? '');
    const unsent = block === undefined ? [] : piece.control;
    const { session, emptiedTables } = this.#place;
    const plan = {
      session,
      level: this.#level(),
      effects: new CommitEffects(session, emptiedTables),
      isReadOnly: block !== undefined,
      acknowledged: () => unsent.forEach((one) => one.acknowledged?.()),
    };
    try {
      return await runGuarded(plan, { ...piece, control: block?.preamble ?? piece.control });
    } catch (error) {
      block?.fail();
      throw error;
    }
  }

  /**
   * Transaction control that is a command of its own. Undefined: it is none, or one that the server must see.
   */
  async #controlled(
    control: readonly Control[],
    commands: readonly Command[],
    signal: AbortSignal | undefined,
  ): Promise<CommandResult[] | undefined> {
    const [command] = commands;
    if (command === undefined || command.simple === true) return undefined;
    if (SET_TRANSACTION.test(command.text)) {
      const kept = /\bREAD\s+ONLY\b/i.test(command.text) ? [READ_ONLY] : [];
      await this.#sendControl(control, kept, signal);
      return [answer('SET')];
    }
    const said = transactionCommand(command.text);
    if (said === undefined) return undefined;
    if (said.chains || said.kind === 'prepared') throw notInTest(said);
    if (said.kind === 'begin') {
      const isBegun = this.#block !== undefined || control.length > 0;
      await this.#sendControl(isBegun ? control : [unprepared(command.text)], [], signal);
      return [answer('BEGIN')];
    }
    if (said.kind === 'commit' || said.kind === 'rollback') return [await this.#end(said.kind)];
    // Each statement of a reader has a savepoint of its own, so that its transaction's are not needed.
    if (!(this.#block instanceof ReadOnlyTransaction)) return undefined;
    if (said.kind === 'rollback-to') this.#block.recover();
    return commands.map(() => answer('ROLLBACK'));
  }

  async #sendControl(
    control: readonly Control[],
    commands: readonly Command[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (control.length + commands.length === 0) return;
    const send = (opening: readonly Control[], kept: readonly Command[]): Promise<unknown> =>
      this.#place.session.executeMany(opening, kept);
    await this.perform({ control, commands, signal, send });
  }

  async #end(word: 'commit' | 'rollback'): Promise<CommandResult> {
    const leave = await this.#line.take();
    const block = this.#block;
    try {
      if (block instanceof WriteTransaction)
        return await (word === 'commit' ? block.commit() : block.rollback());
      return answer(word === 'commit' && block?.status !== 'failed' ? 'COMMIT' : 'ROLLBACK');
    } finally {
      this.#block = undefined;
      leave();
    }
  }

  async #leaveBlock(): Promise<void> {
    if (this.#block === undefined) return;
    await this.#end('rollback').catch(() => undefined);
  }

  #level(): NestingLevel {
    const blocks = this.#holders.map((holder) => holder.#block);
    return blocks.find((block) => block instanceof WriteTransaction) ?? this.#place;
  }

  #refusal(): Error {
    return new ResourceClosedError(
      this.#place.session.isOpen
        ? 'this connection was ended. Take another one from the pool.'
        : "the connection of the test's transaction was lost, and with it all that the test had done.",
    );
  }
}

function notInTest({ words }: TransactionCommand): IllegalStateError {
  return new IllegalStateError(
    `${words} is not supported inside rollbackEach(): all of a test runs in one transaction. Send a plain COMMIT and ` +
      'BEGIN, or test this in a suite without rollbackEach().',
  );
}
