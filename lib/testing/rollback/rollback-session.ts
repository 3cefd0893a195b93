import { ResourceClosedError, transactionCommand } from '../../engine/index.js';
import type {
  Command,
  CommandOptions,
  CommandResult,
  Control,
  DriverConnection,
  Portal,
  ServerStatus,
} from '../../engine/index.js';
import { aborted } from './aborted.js';
import { runGuarded } from './savepoint.js';
import type { Level, Outer } from './test-place.js';
import { ReadBlock } from './read-block.js';
import { RollbackPortal } from './rollback-portal.js';
import { Turns } from './turn-queue.js';
import { WriteBlock, answer } from './write-block.js';

const CHANGES = new Set([
  'INSERT',
  'UPDATE',
  'DELETE',
  'MERGE',
  'COPY',
  'TRUNCATE',
  'CREATE',
  'ALTER',
  'DROP',
]);

/** The place of a session: its own part of the test's transaction. */
export interface SessionPlace extends Outer, Level {
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
  // The order in which commands were handed over is the order in which they run, whoever else takes a turn
  // between.
  readonly #line = new Turns(0);
  #holders: readonly RollbackSession[] = [];
  #state: 'open' | 'closed' = 'open';
  #block: WriteBlock | ReadBlock | undefined;
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

  get processId(): number | undefined {
    return this.#place.session.processId;
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
    commands: readonly Command[],
    options?: CommandOptions,
  ): Promise<CommandResult[]> {
    const own = await this.#controlled(control, commands, options);
    if (own !== undefined) return own;
    const texts = [...control, ...commands].map(({ text }) => text);
    // A plan made before a ROLLBACK that no transaction of the application has seen would be stale.
    const unnamed = commands.map((command) => ({ ...command, prepare: false }));
    const results = await this.perform(control, texts, options?.signal, (opening) =>
      this.#place.session.executeMany(opening, unnamed, options),
    );
    if (results.some(({ command }) => CHANGES.has(command.split(' ', 1)[0] ?? ''))) this.#noteChange();
    return results;
  }

  uniqueName(prefix: string): string {
    return this.#place.session.uniqueName(prefix);
  }

  openPortal(control: readonly Control[], command: Command, options?: CommandOptions): Portal {
    return new RollbackPortal(control, command, {
      open: (opening, unnamed) => this.#place.session.openPortal(opening, unnamed, options),
      send: (opening) => this.#place.session.executeMany(opening, []),
      perform: (first, work) => this.perform(first, [command.text], options?.signal, work),
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

  /** Runs one command with what must travel in front of it, in its place. */
  async perform<T>(
    control: readonly Control[],
    texts: readonly string[],
    signal: AbortSignal | undefined,
    work: (opening: readonly Control[]) => Promise<T>,
  ): Promise<T> {
    this.#last = texts.at(-1) ?? this.#last;
    this.#running += 1;
    const leave = await this.#line.take();
    try {
      if (!this.isOpen) throw this.#refusal();
      return await this.#inPlace(control, texts, signal, (opening) => this.#send(opening, work));
    } finally {
      leave();
      this.#running -= 1;
    }
  }

  async #send<T>(opening: readonly Control[], work: (opening: readonly Control[]) => Promise<T>): Promise<T> {
    this.#onWire += 1;
    try {
      return await work(opening);
    } finally {
      this.#onWire -= 1;
      this.#place.check(this.#last);
    }
  }

  async #inPlace<T>(
    control: readonly Control[],
    texts: readonly string[],
    signal: AbortSignal | undefined,
    work: (opening: readonly Control[]) => Promise<T>,
  ): Promise<T> {
    const begin = control.find(({ text }) => transactionCommand(text)?.kind === 'begin');
    if (this.#block === undefined && begin !== undefined) {
      if (!/\bREAD ONLY\b/i.test(begin.text)) return await this.#begin(begin, control, texts, signal, work);
      this.#block = new ReadBlock(control.filter(({ text }) => transactionCommand(text) === undefined));
    }
    const block = this.#block;
    if (block instanceof WriteBlock) return await block.run(texts, signal, () => work(control));
    return await this.#guarded(block, control, texts, signal, work);
  }

  async #begin<T>(
    begin: Control,
    control: readonly Control[],
    texts: readonly string[],
    signal: AbortSignal | undefined,
    work: (opening: readonly Control[]) => Promise<T>,
  ): Promise<T> {
    const block = await WriteBlock.enter(this.#place, this.#level(), control, signal);
    const opening = block.opening(begin, () => {
      this.#block = block;
    });
    const mapped = control.map((one) => (one === begin ? opening : one));
    try {
      return await block.run(texts, signal, () => work(mapped));
    } finally {
      if (!block.isOpen) block.abandon();
    }
  }

  async #guarded<T>(
    block: ReadBlock | undefined,
    control: readonly Control[],
    texts: readonly string[],
    signal: AbortSignal | undefined,
    work: (opening: readonly Control[]) => Promise<T>,
  ): Promise<T> {
    if (block?.status === 'failed') throw aborted(texts.at(-1) ?? '');
    const unsent = block === undefined ? [] : control;
    const plan = {
      session: this.#place.session,
      level: this.#level(),
      control: block?.preamble ?? control,
      isReadOnly: block !== undefined,
      signal,
      acknowledged: () => unsent.forEach((one) => one.acknowledged?.()),
    };
    try {
      return await runGuarded(plan, work);
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
    options: CommandOptions | undefined,
  ): Promise<CommandResult[] | undefined> {
    const [command] = commands;
    if (command === undefined || command.simple === true) return undefined;
    const word = transactionCommand(command.text)?.kind;
    if (word === undefined) return undefined;
    if (word === 'begin' && this.#block === undefined) {
      await this.perform(
        [...control, { text: command.text, prepare: false }],
        [command.text],
        options?.signal,
        async (opening) => {
          await this.#place.session.executeMany(opening, []);
        },
      );
      return [answer('BEGIN')];
    }
    if (word === 'commit' || word === 'rollback') return [await this.#end(word)];
    // Each statement of a reader has a savepoint of its own, so that its transaction's are not needed.
    if (!(this.#block instanceof ReadBlock)) return undefined;
    if (word === 'rollback-to') this.#block.recover();
    return commands.map(() => answer('ROLLBACK'));
  }

  async #end(word: 'commit' | 'rollback'): Promise<CommandResult> {
    const leave = await this.#line.take();
    const block = this.#block;
    try {
      if (block instanceof WriteBlock) return await (word === 'commit' ? block.commit() : block.rollback());
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

  #level(): Level {
    const blocks = this.#holders.map((holder) => holder.#block);
    return blocks.find((block) => block instanceof WriteBlock) ?? this.#place;
  }

  #noteChange(): void {
    if (this.#block instanceof WriteBlock) this.#block.hasWritten = true;
    else if (this.#block === undefined) this.#level().noteIndependent();
  }

  #refusal(): Error {
    return new ResourceClosedError(
      this.#place.session.isOpen
        ? 'this connection was ended. Take another one from the pool.'
        : "the connection of the test's transaction was lost, and with it all that the test had done.",
    );
  }
}
