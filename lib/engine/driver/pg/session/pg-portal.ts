import { ArgumentError, DBAPIError, ResourceClosedError } from '../../../errors/errors.js';
import type { Batch, Command, Control, CsvField, Portal, RowShape } from '../../driver.js';
import { CsvWriter } from '../wire/csv-writer.js';
import type { RowLayout } from '../wire/row-builder.js';
import type { StepResult, WireCommand } from './pg-step.js';

/** What a portal needs of its connection. */
export interface PortalHost {
  fetch(control: readonly Control[], command: WireCommand): Promise<StepResult>;
  closePortal(name: string): Promise<void>;
  isOpen(): boolean;
}

/** Execute counts rows in 31 bits. */
const MOST_ROWS = 2 ** 31 - 1;

/**
 * `new`: nothing was sent. `bound`: the server has the portal. `unreadable`: it has it, and a row could not
 * be decoded.
 * `done`: it is closed or lost.
 */
type State = 'new' | 'bound' | 'unreadable' | 'done';

/** A named portal: the first fetch parses, binds and executes, each other one only executes. */
export class PgPortal implements Portal {
  readonly #name: string;
  readonly #control: readonly Control[];
  readonly #command: Command;
  readonly #host: PortalHost;
  #state: State = 'new';
  /** How its rows look; of a statement without rows there is none. */
  #layout: RowLayout | undefined;
  /** Made for the first fetch of CSV. */
  #csv: CsvWriter | undefined;
  #fetching: Promise<unknown> = Promise.resolve();

  constructor(name: string, control: readonly Control[], command: Command, host: PortalHost) {
    this.#name = name;
    this.#control = control;
    this.#command = command;
    this.#host = host;
  }

  get shape(): RowShape | undefined {
    return this.#layout;
  }

  fetch(count: number, csv?: CsvField): Promise<Batch> {
    const fetching = this.#fetch(count, csv);
    this.#fetching = fetching.catch(() => undefined);
    return fetching;
  }

  async #fetch(count: number, field: CsvField | undefined): Promise<Batch> {
    if (!Number.isInteger(count) || count < 1 || count > MOST_ROWS) {
      throw new ArgumentError(
        `a fetch must be of 1 to ${MOST_ROWS} rows, as yieldPer and maxRowBuffer say; got ${String(count)}.`,
      );
    }
    if (this.#state === 'done' || this.#state === 'unreadable')
      throw new ResourceClosedError('the cursor is closed. Run the statement again.');
    const portal = { name: this.#name, rows: count };
    const isFirst = this.#state === 'new';
    const bound = this.#layout;
    const csv = field && (this.#csv ??= new CsvWriter(field));
    const command: WireCommand = isFirst
      ? { ...this.#command, portal, csv }
      : { text: this.#command.text, portal, csv, ...(bound && { bound }) };
    this.#state = 'bound';
    try {
      const result = await this.#host.fetch(isFirst ? this.#control : [], command);
      this.#layout = result.layout;
      // An exhausted portal would keep its snapshot until the transaction ends; close() still closes it.
      const { rows, bytes } = result;
      return { rows, csv: result.csv, done: !result.isSuspended, bytes };
    } catch (error) {
      // What the server refuses has ended the portal with its transaction.
      this.#state = error instanceof DBAPIError ? 'done' : 'unreadable';
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#fetching;
    const isOnServer = this.#state === 'bound' || this.#state === 'unreadable';
    this.#state = 'done';
    if (!isOnServer || !this.#host.isOpen()) return;
    // The only way it fails is with the connection, and then the portal is gone as well.
    await this.#host.closePortal(this.#name).catch(() => undefined);
  }
}
