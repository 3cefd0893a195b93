import type { ConnectionCore } from './connection-core.js';
import type { ClientTransaction, DriverClientHost } from './driver-client.js';
import type { CommandList, CommandResult } from '../driver/driver.js';
import { sendStatement } from '../execution/executor.js';
import { observedOptions } from '../execution/invocation.js';
import { StatementObserver } from '../execution/statement-observer.js';
import type { QueryConfig } from '../statement/executable.js';

/** What a client of `connection.run()` sends, as statements and transactions of its connection. */
export class ClientStatements<Connection> implements DriverClientHost {
  readonly #core: ConnectionCore<Connection>;

  constructor(core: ConnectionCore<Connection>) {
    this.#core = core;
  }

  async execute(query: QueryConfig): Promise<CommandResult> {
    const answer = await sendStatement(() => this.#core, { statement: query, isRaw: true });
    if (answer.onFetch !== undefined) answer.rows.forEach(answer.onFetch);
    return answer;
  }

  async executeScript(text: string): Promise<readonly CommandResult[]> {
    const core = this.#core;
    await core.settle();
    const invocation = core.invocationOf({ text });
    const script = [{ text, simple: true }];
    const observer = this.#observerOf(text);
    const run = (): Promise<readonly CommandResult[]> =>
      core.dispatch((control, deadline, transaction) => {
        const limits = invocation.commandOptions(deadline);
        const options = observer === undefined ? limits : observedOptions(observer, limits);
        const send = (commands: CommandList): Promise<readonly CommandResult[]> =>
          core.session.executeMany(control, commands, options);
        if (transaction !== undefined) observer?.runsIn(transaction);
        return observer === undefined
          ? send(script)
          : observer.run(script, send, core.session.pooled?.session);
      });
    return await (observer === undefined ? run() : observer.traced(run));
  }

  /** A script is told of as one statement. */
  #observerOf(text: string): StatementObserver<Connection> | undefined {
    const observer = this.#core.observer();
    const told = { statement: { text }, isRaw: true };
    return observer && new StatementObserver(observer, told, this.#core.executionOptions);
  }

  // Where each statement commits itself, the client's BEGIN is the transaction.
  async begin(): Promise<ClientTransaction> {
    const { options, transactions } = this.#core;
    await this.#core.settle();
    const isRoot = options.isAutocommit && !this.#core.inTransaction();
    return isRoot ? transactions.begin(undefined, true) : transactions.beginNested();
  }

  report(error: unknown): void {
    this.#core.host.report(error);
  }
}
