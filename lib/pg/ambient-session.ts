import type { Client } from 'pg';
import type { AsyncTransaction, TransactionCommand } from '../engine/index.js';
import { controlRefused } from '../engine/statement/transaction-command.js';
import type { CallSite } from '../engine/util/call-site.js';
import { ClientTransactions } from './client-transactions.js';
import type { ClientSession, ControlAnswer, ControlStatement, PacedCommand } from './client-session.js';
import { modesIn, nameIn } from './control-text.js';

/**
 * The ambient transaction as a client sees it: as the session of its own. BEGIN is a savepoint, COMMIT its
 * release, ROLLBACK goes back to it; the transaction around them is its owner's.
 */
export class AmbientSession implements ClientSession {
  readonly isPart = true;
  readonly client: Client;
  readonly #base: AsyncTransaction;
  readonly #own: ClientTransactions;

  private constructor(base: AsyncTransaction, client: Client, label: CallSite) {
    this.#base = base;
    this.client = client;
    const around = (): AsyncTransaction => base.innermost;
    this.#own = new ClientTransactions(label, around, around);
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
    if (this.#own.isEmpty) return 'I';
    return this.client.getTransactionStatus() === 'E' ? 'E' : 'T';
  }

  lend(use: (client: Client) => void, paced?: PacedCommand): Promise<unknown> {
    return lendIn(this.#own.innermost ?? this.#base, use, paced);
  }

  /** True: the transaction has begun to end, and waits for what still runs in it. */
  get isEnding(): boolean {
    try {
      (this.#own.innermost ?? this.#base).expectUsable();
      return false;
    } catch {
      return true;
    }
  }

  async control({ command, text }: ControlStatement): Promise<ControlAnswer> {
    switch (command.kind) {
      case 'begin':
        return this.#begin(text);
      case 'commit':
      case 'rollback':
        return await this.#end(command, command.kind);
      case 'savepoint':
        this.#own.savepoint(nameIn(text));
        return { tag: 'SAVEPOINT' };
      case 'release':
        return (await this.#own.release(nameIn(text))) ? { tag: 'RELEASE' } : await this.#refused(text);
      case 'rollback-to':
        return (await this.#own.rollbackTo(nameIn(text))) ? { tag: 'ROLLBACK' } : await this.#refused(text);
      case 'prepared':
        throw controlRefused(command);
      default:
        return command.kind satisfies never;
    }
  }

  /** What was begun and not ended is undone. */
  async end(): Promise<void> {
    await this.#own.close();
  }

  #begin(text: string): ControlAnswer {
    const tag = /^\W*START/i.test(text) ? 'START TRANSACTION' : 'BEGIN';
    if (this.#own.begin(modesIn(text))) return { tag };
    return { tag, notice: { code: '25001', message: 'there is already a transaction in progress' } };
  }

  async #end({ chains }: TransactionCommand, way: 'commit' | 'rollback'): Promise<ControlAnswer> {
    const tag = way.toUpperCase();
    if (!(await this.#own.end(way)))
      return { tag, notice: { code: '25P01', message: 'there is no transaction in progress' } };
    if (chains) this.#own.begin({});
    return { tag };
  }

  /** What the server refuses is refused in its words. */
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
function lendIn(
  transaction: AsyncTransaction,
  use: (client: Client) => void,
  paced?: PacedCommand,
): Promise<unknown> {
  const { host, deadline } = transaction;
  return transaction.execute(
    (control) => host.lend(control, (client) => use(client as Client), { signal: deadline }, paced),
    undefined,
    paced !== undefined,
  );
}
