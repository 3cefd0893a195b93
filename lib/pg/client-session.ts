import type { Client } from 'pg';
import type { TransactionCommand } from '../engine/index.js';

/** A statement of transaction control. */
export interface ControlStatement {
  readonly command: TransactionCommand;
  /** Without what stands beside it in a script. */
  readonly text: string;
}

/** Something that has the session to itself and waits for its reader now and then. */
export interface PacedCommand {
  /** Changes with each step of its reader; undefined while it does not wait for that. */
  readonly progress: number | undefined;
}

/** Where the statements of a lent client run. */
export interface ClientSession {
  readonly client: Client;
  /** True: the transaction around it is not the client's, so that BEGIN and COMMIT are not for the server. */
  readonly isPart: boolean;
  /** True: the transaction around it has begun to end, and waits for what still runs in it. */
  readonly isEnding?: boolean;
  /** As `pg` says it: `I`, `T` or `E`. */
  readonly transactionStatus: 'I' | 'T' | 'E';
  /** Hands the client to `use` in its turn; `paced`: it has the session to itself until it has ended. */
  lend(use: (client: Client) => void, paced?: PacedCommand): Promise<unknown>;
  /** Does what `statement` stands for; gives the command tag and, where `pg` would warn, a notice. */
  control(statement: ControlStatement): Promise<ControlAnswer>;
  /** Gives it back; `failure`: it is not to be used again. What is open in it is rolled back. */
  end(failure: unknown): Promise<void>;
}

/** What the server would say. */
export interface ControlAnswer {
  readonly tag: string;
  readonly notice?: ControlNotice;
}

export interface ControlNotice {
  readonly code: string;
  readonly message: string;
}
