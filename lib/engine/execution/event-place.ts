import { randomBytes } from 'node:crypto';
import { ChannelGroup } from '../util/channels.js';

/** The channels on which statements and transactions are told of. */
export const EXECUTION_CHANNELS = new ChannelGroup();

/** The engine of a connection. */
export type EngineOf<Connection> = Connection extends { readonly engine: infer Engine } ? Engine : unknown;

/** Where something happens. */
export interface ConnectionEvent<Connection> {
  readonly engine: EngineOf<Connection>;
  /** Undefined for a statement that the engine runs outside of transactions. */
  readonly connection: Connection | undefined;
}

/** Something with a label, or a place in the code where it was started; which one costs to find out. */
export interface Labeled {
  readonly origin: string;
}

/** Ids that no other statement or transaction of the process has, of whatever engine. */
export class IdSequence {
  readonly #prefix = randomBytes(6).toString('base64url');
  #count = 0;

  next(): string {
    this.#count += 1;
    return `${this.#prefix}-${this.#count}`;
  }
}
