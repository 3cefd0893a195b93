import { InternalError, transactionCommand } from '../../engine/index.js';
import type { CommandResult, Control, DriverConnection } from '../../engine/index.js';
import { CommitEffects } from './commit-effects.js';
import { release, undo } from './savepoint.js';
import type { NestingLevel, TestTransactionContext } from './nesting-level.js';
import { savedSettings } from './local-settings.js';
import { unprepared, type Piece } from './piece.js';
import { TurnQueue } from './turn-queue.js';

/**
 * What happened in a block since its begin and still counts: its savepoints, by name, and work that should
 * outlive it.
 */
type Trace = { readonly savepoint: string } | 'independent';

/**
 * A transaction of the application as a savepoint of the test's. `pending`: the server has not confirmed it.
 * `doomed`: it had failed and was undone so far that work of others could go on.
 */
type WriteTransactionState = 'pending' | 'open' | 'doomed';

export class WriteTransaction implements NestingLevel {
  readonly turns: TurnQueue;
  readonly isOutermost = false;
  readonly savepoint: string;
  readonly #outer: TestTransactionContext;
  readonly #session: DriverConnection;
  readonly #level: NestingLevel;
  readonly #leave: () => void;
  #restore: Awaited<ReturnType<typeof savedSettings>>;
  #state: WriteTransactionState = 'pending';
  #trail: readonly Trace[] = [];
  readonly #effects: CommitEffects;
  /** The rows that the test had written when it began, where it is nested in another transaction. */
  #rowsBefore: number | undefined;

  private constructor(outer: TestTransactionContext, level: NestingLevel, leave: () => void) {
    this.turns = new TurnQueue(outer.turnTimeout);
    this.savepoint = outer.session.uniqueName('nae_test');
    this.#outer = outer;
    this.#session = outer.session;
    this.#level = level;
    this.#leave = leave;
    this.#effects = new CommitEffects(outer.session, outer.emptiedTables);
  }

  /** Waits for its turn; nothing is sent for it before its first statement. */
  static async enter(
    outer: TestTransactionContext,
    level: NestingLevel,
    control: readonly Control[],
    signal: AbortSignal | undefined,
  ): Promise<WriteTransaction> {
    const leave = await level.turns.take(signal);
    try {
      await level.prepare();
      const block = new WriteTransaction(outer, level, leave);
      block.#restore = await savedSettings(outer.session, control);
      if (!level.isOutermost) block.#rowsBefore = await block.#effects.writtenRows();
      return block;
    } catch (error) {
      leave();
      throw error;
    }
  }

  get status(): 'open' | 'failed' {
    return this.#state === 'doomed' || this.#session.status === 'failed' ? 'failed' : 'open';
  }

  get isOpen(): boolean {
    return this.#state !== 'pending';
  }

  /** The savepoint in the place of `begin`. */
  opening(begin: Control, opened: () => void): Control {
    const acknowledged = (): void => {
      this.#state = 'open';
      opened();
      begin.acknowledged?.();
    };
    return { ...unprepared(`SAVEPOINT ${this.savepoint}`), acknowledged };
  }

  /** One piece of the application's work, which waits for work that is nested in the transaction. */
  async run<T>({ control, commands, signal, send }: Piece<T>): Promise<T> {
    const leave = await this.turns.take(signal);
    try {
      const texts = [...control, ...commands].map(({ text }) => text);
      const [first = ''] = texts;
      if (transactionCommand(first)?.kind === 'rollback-to') this.#goBackTo(first);
      else if (this.#state === 'doomed') throw transactionAborted(texts.at(-1) ?? '');
      for (const text of texts) this.#follow(text);
      return await this.#effects.run(commands, (sent) => send(control, sent));
    } finally {
      leave();
    }
  }

  noteIndependent(): void {
    this.#trail = [...this.#trail, 'independent'];
  }

  /** A failed transaction refuses everything: undone so far, it lets work beside it go on. */
  async prepare(): Promise<void> {
    if (this.#session.status !== 'failed') return;
    const text = `ROLLBACK TO SAVEPOINT ${this.#innermost ?? this.savepoint}`;
    await this.#session.executeMany([], [unprepared(text)]);
    this.#state = 'doomed';
  }

  async commit(): Promise<CommandResult> {
    const leave = await this.turns.take();
    try {
      if (this.status === 'failed') return await this.#undo();
      if (await this.#isIndependent()) this.#level.noteIndependent();
      await this.#store();
    } finally {
      leave();
      this.#leave();
    }
    return answer('COMMIT');
  }

  async #isIndependent(): Promise<boolean> {
    if (this.#level.isOutermost) return false;
    return this.#trail.includes('independent') || (await this.#effects.writtenRows()) !== this.#rowsBefore;
  }

  async rollback(): Promise<CommandResult> {
    const leave = await this.turns.take();
    try {
      return await this.#undo();
    } finally {
      leave();
      this.#leave();
    }
  }

  /** Gives the turn back for a block that the server never heard of. */
  abandon(): void {
    this.#leave();
  }

  async #store(): Promise<void> {
    try {
      await this.#effects.commit();
      await this.#release(this.#level.isOutermost);
    } catch (error) {
      if (this.#session.isOpen) await undo(this.#session, this.savepoint).catch(() => undefined);
      throw error;
    }
  }

  async #undo(): Promise<CommandResult> {
    // Doomed as a whole, it is undone already, and what came after that is not its own.
    const isUndone = this.#state === 'doomed' && this.#innermost === undefined;
    if (isUndone) await this.#release(false);
    else {
      this.#complainOf(this.#trail);
      await undo(this.#session, this.savepoint);
    }
    await this.#effects.releaseLocks();
    return answer('ROLLBACK');
  }

  #release(isChecked: boolean): Promise<void> {
    return release(this.#session, this.savepoint, { isChecked, restore: this.#restore });
  }

  get #innermost(): string | undefined {
    const last = this.#trail.findLast((trace) => trace !== 'independent');
    return last?.savepoint;
  }

  #follow(text: string): void {
    const [, word, name] = /^(SAVEPOINT|RELEASE SAVEPOINT) (\S+)$/.exec(text) ?? [];
    if (name === undefined) return;
    if (word === 'SAVEPOINT') this.#trail = [...this.#trail, { savepoint: name }];
    else this.#trail = this.#trail.filter((trace) => trace === 'independent' || trace.savepoint !== name);
  }

  #goBackTo(text: string): void {
    const name = text.split(/\s+/).at(-1);
    const place = this.#trail.findIndex((trace) => trace !== 'independent' && trace.savepoint === name);
    if (place < 0) return;
    this.#complainOf(this.#trail.slice(place));
    this.#trail = this.#trail.slice(0, place + 1);
    if (this.#state === 'doomed') this.#state = 'open';
  }

  #complainOf(undone: readonly Trace[]): void {
    if (!undone.includes('independent')) return;
    this.#outer.complain(
      'it undid a transaction around work that should have outlived it (requires-new, not-supported, engine.connect() or ' +
        'engine.begin() inside), and with one connection both are gone. Test this in a suite without rollbackEach().',
    );
  }
}

/** What the server says in a transaction that has failed, where it is the test's transaction that goes on. */
export function transactionAborted(statement: string): InternalError {
  return new InternalError(
    'current transaction is aborted, commands ignored until end of transaction block',
    { sqlState: '25P02', statement, parameters: [] },
  );
}

/** What the server would have answered. */
export function answer(command: string): CommandResult {
  return { command, rowCount: -1, shape: undefined, rows: [] };
}
