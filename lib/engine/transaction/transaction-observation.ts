import type { CommandOptions, ServerRole } from '../driver/driver.js';
import type { TransactionOptions } from './isolation.js';

/** `unknown`: the connection was lost during COMMIT. `cancelled`: what is around it has ended or was lost. */
export type TransactionOutcome = 'committed' | 'rolled-back' | 'cancelled' | 'unknown';

/** What observers know of one transaction, from its beginning to its end. */
export interface TransactionObservation {
  /** What a listener wants to be set while it lasts; travels with BEGIN. */
  readonly settings: Readonly<Record<string, string>> | undefined;
  /** `host:port` of the server that it runs on, once that is known. */
  readonly host: string | undefined;
  /** Of that server; undefined unless the engine has replicas. */
  readonly role: ServerRole | undefined;
  /** It is about to be used, by other means than `run()`. */
  start(): void;
  /** Runs work of the transaction as observers want it to be run. */
  run<T>(work: () => T): T;
  /** A command of its own, such as COMMIT, leaves for the server. */
  left(): void;
  /** Its work has failed with `cause`, and it is to be rolled back. */
  undoneFor(cause: unknown): void;
  /** It is another attempt at the work of `failed`. */
  repeats(failed: TransactionObservation): void;
  /** The first end counts. */
  ended(outcome: TransactionOutcome, error: unknown): void;
}

/** The options of a command of a transaction's own, whose flights `observation` hears of. */
export function observedControl(observation: TransactionObservation): CommandOptions {
  return { onFlight: () => observation.left() };
}

/** Runs work that a transaction was given as a function. */
export function runObserved<T>(
  { observation }: { readonly observation: TransactionObservation | undefined },
  work: () => T,
): T {
  return observation === undefined ? work() : observation.run(work);
}

/** A transaction as its observers see it. */
export interface ObservedTransaction {
  readonly origin: string;
  readonly nested: boolean;
  readonly parent: ObservedTransaction | undefined;
  readonly options: TransactionOptions;
  observation: TransactionObservation | undefined;
}
