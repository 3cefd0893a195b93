import type { Account, Happening, Measurement, WideRow } from '../fixtures.js';

/**
 * What every client of PostgreSQL does here, each as its own documentation recommends and with its best settings.
 * Where a client has no such thing, the method is missing and the workload leaves the client out.
 */
export interface Peer {
  /** One row by its primary key, autocommit. */
  selectById(id: number): Promise<Account>;
  /** All rows of `wide` in the order of `id`. */
  selectWide(): Promise<readonly WideRow[]>;
  /** A transaction of two statements: reads the balance of an account, then counts the visit. Gives the balance. */
  visit(id: number): Promise<number>;
  /** A transaction with two nested ones of one select each. Gives the sum of the balances. */
  nested(first: number, second: number): Promise<number>;
  /** Inserts all rows, or none. */
  insertMany(rows: readonly Measurement[]): Promise<void>;
  /** All rows of `happenings`, at once in memory. */
  selectHappenings(): Promise<readonly Happening[]>;
  /** Gives each row of `happenings` to `consume`, never all of them in memory. */
  stream(consume: (row: Happening) => void): Promise<void>;
  close(): Promise<void>;
}

export type Capability = Exclude<keyof Peer, 'close'>;

/** A client that can do some of it. */
export type PartialPeer = Partial<Peer> & Pick<Peer, 'close'>;

export interface PeerSettings {
  readonly url: string;
  /** How many connections its pool may open. */
  readonly connections: number;
}

/** What the file of a peer exports. */
export type OpenPeer = (settings: PeerSettings) => Promise<PartialPeer>;

/** Rows of a batch, wherever a client lets us choose. */
export const STREAM_BATCH = 1_000;
