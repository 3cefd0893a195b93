import type { Client } from 'pg';
import type { CommandResult } from '../../driver.js';

/** The parts of pg's Client that its own types leave out. */
interface ClientState {
  readonly readyForQuery?: boolean;
  readonly _queryQueue: readonly unknown[];
}

/** A turn in which the client itself is used, until it has answered everything that it was given. */
export class ClientTurn {
  readonly #client: Client;
  readonly #use: (client: Client) => void;
  readonly #settle: (failure: unknown, result: CommandResult) => void;
  #failure: unknown;
  #result: CommandResult = { command: '', rowCount: -1, shape: undefined, rows: [] };

  /** `settle` is told of the first error, or of a command that was no SELECT. */
  constructor(
    client: Client,
    use: (client: Client) => void,
    settle: (failure: unknown, result: CommandResult) => void,
  ) {
    this.#client = client;
    this.#use = use;
    this.#settle = settle;
  }

  /** Calls `ended` when the session is free again. */
  start(ended: () => void): void {
    const { connection } = this.#client;
    const noteError = (error: unknown): void => {
      this.#failure ??= error;
    };
    const noteTag = ({ text }: { text: string }): void => this.#noteTag(text);
    connection.on('errorMessage', noteError);
    connection.on('commandComplete', noteTag);
    const end = (): void => {
      connection.off('errorMessage', noteError);
      connection.off('commandComplete', noteTag);
      ended();
    };
    try {
      this.#use(this.#client);
    } catch (error) {
      this.#failure = error;
    }
    // Not in the event itself: what else listens to ReadyForQuery must know of it before the next statement.
    if (this.#isIdle) end();
    else this.#client.once('drain', () => process.nextTick(end));
  }

  /** `loss`: why the client is never going to answer. */
  settle(loss?: unknown): void {
    this.#settle(loss ?? this.#failure, this.#result);
  }

  get #isIdle(): boolean {
    const { readyForQuery, _queryQueue: queue } = this.#client as unknown as ClientState;
    return readyForQuery === true && queue.length === 0;
  }

  #noteTag(tag: string): void {
    if (this.#result.command !== '' && this.#result.command !== 'SELECT') return;
    const [, command = tag, count] = /^(.*?)(?: \d+)?(?: (\d+))?$/.exec(tag) ?? [];
    this.#result = { ...this.#result, command, rowCount: count === undefined ? -1 : Number(count) };
  }
}
