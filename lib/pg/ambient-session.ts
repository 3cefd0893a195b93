import type { Client } from 'pg';
import { NestedTransaction } from '../engine/index.js';
import type { AsyncTransaction, TransactionCommand, TransactionOptions } from '../engine/index.js';
import { controlRefused } from '../engine/statement/transaction-command.js';
import type { CallSite } from '../engine/util/call-site.js';
import type { ClientSession, ControlAnswer, ControlStatement } from './client-session.js';
import { modesIn, nameIn } from './control-text.js';

/** What a client has begun in the ambient transaction. */
interface Level {
  readonly transaction: AsyncTransaction;
  /** The name of its SAVEPOINT; undefined for BEGIN. */
  readonly savepoint: string | undefined;
}

/**
 * The ambient transaction as a client sees it: as the session of its own. BEGIN is a savepoint, COMMIT its
 * release, ROLLBACK goes back to it; the transaction around them is its owner's.
 */
export class AmbientSession implements ClientSession {
  readonly isPart = true;
  readonly client: Client;
  readonly #base: AsyncTransaction;
  readonly #label: CallSite;
  /** The innermost is last. */
  #levels: readonly Level[] = [];

  private constructor(base: AsyncTransaction, client: Client, label: CallSite) {
    this.#base = base;
    this.client = client;
    this.#label = label;
  }

  /** Takes a connection, and sends BEGIN, where the transaction has not begun yet. */
  static async in(base: AsyncTransaction, label: CallSite): Promise<AmbientSession> {
    base.expectUsable();
    const { pooled } = base.connection;
    if (pooled?.isValid === true) return new AmbientSession(base, pooled.session.client as Client, label);
    return await new Promise((resolve, reject) => {
      const enter = (client: unknown): void => resolve(new AmbientSession(base, client as Client, label));
      lendIn(base, enter).catch(reject);
    });
  }

  get transactionStatus(): 'I' | 'T' | 'E' {
    if (this.#levels.length === 0) return 'I';
    return this.client.getTransactionStatus() === 'E' ? 'E' : 'T';
  }

  lend(use: (client: Client) => void): Promise<unknown> {
    return lendIn(this.#innermost, use);
  }

  async control(statement: ControlStatement): Promise<ControlAnswer> {
    const { command } = statement;
    switch (command.kind) {
      case 'begin':
        return this.#begin(statement.text);
      case 'commit':
      case 'rollback':
        return await this.#end(command, command.kind);
      case 'savepoint':
        this.#enter({}, nameIn(statement.text));
        return { tag: 'SAVEPOINT' };
      case 'release':
        return await this.#release(statement.text);
      case 'rollback-to':
        return await this.#goBack(statement.text);
      case 'prepared':
        throw controlRefused(command);
      default:
        return command.kind satisfies never;
    }
  }

  /** What was begun and not ended is undone. */
  async end(): Promise<void> {
    const outermost = this.#levels[0];
    this.#levels = [];
    await outermost?.transaction.rollbackQuietly();
  }

  get #innermost(): AsyncTransaction {
    return this.#levels.at(-1)?.transaction ?? this.#base.innermost;
  }

  #enter(options: TransactionOptions, savepoint?: string): void {
    const parent = this.#innermost;
    // A BEGIN that is left open is undone when the transaction around it ends; a savepoint ends with what is
    // around it, and as that does.
    const isScoped = savepoint === undefined;
    const transaction = new NestedTransaction(parent, { ...options, label: this.#label }, isScoped);
    this.#levels = [...this.#levels, { transaction, savepoint }];
  }

  #begin(text: string): ControlAnswer {
    const tag = /^\W*START/i.test(text) ? 'START TRANSACTION' : 'BEGIN';
    if (this.#beginning !== -1) {
      return { tag, notice: { code: '25001', message: 'there is already a transaction in progress' } };
    }
    this.#enter(modesIn(text));
    return { tag };
  }

  /** Where BEGIN is in the levels; -1: the client is in no transaction of its own. */
  get #beginning(): number {
    return this.#levels.findIndex(({ savepoint }) => savepoint === undefined);
  }

  async #end(command: TransactionCommand, kind: 'commit' | 'rollback'): Promise<ControlAnswer> {
    const tag = kind.toUpperCase();
    const ended = this.#levels[this.#beginning];
    if (ended === undefined)
      return { tag, notice: { code: '25P01', message: 'there is no transaction in progress' } };
    this.#levels = this.#levels.slice(0, this.#beginning);
    await ended.transaction[kind]();
    if (command.chains) this.#enter({});
    return { tag };
  }

  async #release(text: string): Promise<ControlAnswer> {
    const index = this.#find(text);
    const { transaction } = this.#levels[index] ?? {};
    // What the server refuses is refused in its words.
    if (transaction?.isValid !== true || !this.#isValid) return await this.#refused(text);
    this.#levels = this.#levels.slice(0, index);
    await transaction.commit();
    return { tag: 'RELEASE' };
  }

  async #goBack(text: string): Promise<ControlAnswer> {
    const index = this.#find(text);
    const found = this.#levels[index];
    if (found === undefined) return await this.#refused(text);
    this.#levels = this.#levels.slice(0, index);
    await found.transaction.rollback();
    this.#enter({}, found.savepoint);
    return { tag: 'ROLLBACK' };
  }

  get #isValid(): boolean {
    return this.#levels.every(({ transaction }) => transaction.isValid);
  }

  #find(text: string): number {
    const name = nameIn(text);
    return this.#levels.findLastIndex(({ savepoint }) => savepoint === name);
  }

  async #refused(text: string): Promise<ControlAnswer> {
    let answer: Promise<unknown> | undefined;
    await this.lend((client) => {
      answer = client.query(text);
      answer.catch(() => undefined);
    }).catch(() => undefined);
    await answer;
    return { tag: '' };
  }
}

/** As one statement of `transaction`; what opens that is sent before. */
function lendIn(transaction: AsyncTransaction, use: (client: Client) => void): Promise<unknown> {
  const { host, deadline } = transaction;
  return transaction.execute((control) =>
    host.lend(control, (client) => use(client as Client), { signal: deadline }),
  );
}
