import type { Connection, Submittable } from 'pg';
import { InterfaceError, StatementError } from '../../errors.js';
import type { ResolvedTypes } from '../../types.js';
import type { CommandResult, DriverRow } from '../driver.js';
import { toEngineError } from './pg-error.js';
import { PreparedStatement } from './prepared-statements.js';
import type { PreparedStatements } from './prepared-statements.js';
import type { JsonSerializer, Step, WireValue } from './pg-step.js';
import { RowLayout } from './row-builder.js';

export interface StepResult extends CommandResult {
  /** The portal has more rows. */
  readonly isSuspended: boolean;
  readonly layout: RowLayout | undefined;
}

/** What a session knows that outlives a batch. */
export interface WireContext {
  readonly prepared: PreparedStatements;
  readonly types: ResolvedTypes;
  /** Default: `JSON.stringify`. */
  readonly serializeJson?: JsonSerializer | undefined;
}

/** The parts of pg's Connection that its own types leave out. */
interface Wire {
  readonly stream: { cork?(): void; uncork?(): void };
  parse(query: { name: string; text: string }): void;
  bind(config: { portal: string; statement: string; values: readonly WireValue[] }): void;
  describe(target: { type: 'P'; name: string }): void;
  execute(config: { portal: string; rows: number } | undefined): void;
  close(target: { type: 'P' | 'S'; name: string }): void;
  sync(): void;
  query(text: string): void;
  sendCopyFail(message: string): void;
}

interface DataRow {
  readonly fields: readonly (string | null)[];
}

interface RowDescription {
  readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[];
}

const NAMES_ARE_GONE: ReadonlySet<string> = new Set(['DISCARD ALL', 'DEALLOCATE ALL']);

/**
 * Statements that leave in one write and share one Sync, given to `client.query()` as pg's documented `Submittable`.
 * When one fails, the server skips those behind it: nothing runs outside the transaction that travels in front of it.
 */
export class PgBatch implements Submittable {
  readonly results: StepResult[] = [];
  /** The server's ErrorResponse, or pg's own error when the session broke. Settled by the next ReadyForQuery. */
  failure: unknown;

  readonly #context: WireContext;
  readonly #steps: readonly Step[];
  readonly #closePortals: readonly string[];
  readonly #onReady: (batch: PgBatch) => void;
  readonly #statements: (PreparedStatement | undefined)[] = [];
  readonly #parses: number[] = [];
  #rows: DriverRow[] = [];
  #layout: RowLayout | undefined;
  /** What can't be given to the user although the server has no complaint; the first one counts. */
  #refusal: Error | undefined;

  constructor(
    context: WireContext,
    steps: readonly Step[],
    closePortals: readonly string[],
    onReady: (batch: PgBatch) => void,
  ) {
    this.#context = context;
    this.#steps = steps;
    this.#closePortals = closePortals;
    this.#onReady = onReady;
  }

  /** The step that the server is answering now; the one that failed, when there is a failure. */
  get current(): Step | undefined {
    // All answered and yet a failure: it came with the Sync, as a deferred constraint does outside a transaction.
    return this.#steps[Math.min(this.results.length, this.#steps.length - 1)];
  }

  /** One Query message of any number of statements, which the server answers as if a Sync were behind it. */
  get #isSimple(): boolean {
    return this.#steps[0]?.simple === true;
  }

  /** What the caller is told instead of a result. */
  get error(): Error | undefined {
    if (this.#refusal !== undefined || this.failure === undefined) return this.#refusal;
    return toEngineError(this.failure, this.current?.text, this.current?.parameters);
  }

  submit(connection: Connection): void {
    const wire = connection as unknown as Wire;
    if (this.#isSimple) {
      wire.query(this.#steps[0]?.text ?? '');
      return this.#begin();
    }
    wire.stream.cork?.();
    for (const name of this.#context.prepared.takeEvicted()) wire.close({ type: 'S', name });
    for (const name of this.#closePortals) wire.close({ type: 'P', name });
    this.#steps.forEach((step, index) => this.#write(wire, step, index));
    wire.sync();
    wire.stream.uncork?.();
    this.#begin();
  }

  #write(wire: Wire, step: Step, index: number): void {
    const portal = step.portal?.name ?? '';
    if (step.bound === undefined) {
      const statement = this.#statementFor(wire, step, index);
      wire.bind({ portal, statement: statement.name, values: step.values });
      const wasAsked = index > 0 && this.#statements[index - 1] === statement && statement.hasStableRows;
      if (!statement.isDescribed && !wasAsked) wire.describe({ type: 'P', name: portal });
    }
    wire.execute(step.portal === undefined ? undefined : { portal, rows: step.portal.rows });
  }

  #statementFor(wire: Wire, step: Step, index: number): PreparedStatement {
    const { prepared } = this.#context;
    const isNamed = step.prepare && prepared.isEnabled;
    let statement =
      this.#sameAsBefore(step, isNamed, index) ?? (isNamed ? prepared.find(step.text) : undefined);
    if (statement === undefined) {
      statement = isNamed ? prepared.create(step.text) : new PreparedStatement('', step.text);
      wire.parse({ name: statement.name, text: step.text });
      this.#parses.push(index);
    }
    this.#statements[index] = statement;
    return statement;
  }

  /** The pages of an executemany repeat one text: it is parsed once, although the server has not confirmed it yet. */
  #sameAsBefore(step: Step, isNamed: boolean, index: number): PreparedStatement | undefined {
    const before = index === 0 ? undefined : this.#statements[index - 1];
    return before?.isNamed === isNamed && this.#steps[index - 1]?.text === step.text ? before : undefined;
  }

  /** Sets the stage for the answers of the current step. */
  #begin(): void {
    const index = this.results.length;
    this.#rows = [];
    this.#layout = this.#steps[index]?.bound ?? this.#statements[index]?.layout;
  }

  /** ParseComplete; pg hands it to its own queries only, so the connection passes it on. */
  handleParseComplete(): void {
    const index = this.#parses.shift();
    if (index === undefined) return;
    const statement = this.#statements[index];
    const step = this.#steps[index];
    if (step !== undefined && statement?.isNamed === true) this.#context.prepared.keep(step.text, statement);
  }

  handleRowDescription(message: RowDescription): void {
    const fields = message.fields.map((field) => ({ name: field.name, typeOid: field.dataTypeID }));
    this.#layout = new RowLayout(fields, this.#context.types);
  }

  handleDataRow(message: DataRow): void {
    if (this.#refusal !== undefined || this.#layout === undefined) return;
    try {
      this.#rows.push(this.#layout.build(message.fields));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.#refusal = new StatementError(
        `the statement has run, but a value of its result could not be decoded: ${reason}`,
        { cause, statement: this.current?.text, parameters: this.current?.parameters },
      );
    }
  }

  handleCommandComplete(message: { readonly text: string }): void {
    if (NAMES_ARE_GONE.has(message.text)) this.#context.prepared.vanish();
    this.#complete(message.text, false);
  }

  handleEmptyQuery(): void {
    this.#complete('', false);
  }

  handlePortalSuspended(): void {
    this.#complete('', true);
  }

  #complete(tag: string, isSuspended: boolean): void {
    const index = this.results.length;
    const statement = this.#statements[index];
    if (statement?.hasStableRows === true && !statement.isDescribed) {
      statement.isDescribed = true;
      statement.layout = this.#layout;
    }
    const space = tag.lastIndexOf(' ');
    const count = space === -1 ? Number.NaN : Number(tag.slice(space + 1));
    this.results.push({
      command: Number.isNaN(count) ? tag : tag.slice(0, tag.indexOf(' ')),
      rowCount: Number.isNaN(count) ? -1 : count,
      shape: this.#layout,
      layout: this.#layout,
      rows: this.#rows,
      isSuspended,
    });
    this.#steps[index]?.acknowledged?.();
    this.#begin();
  }

  handleCopyInResponse(connection: Connection): void {
    const wire = connection as unknown as Wire;
    this.#refuseCopy('COPY FROM STDIN has no rows to send');
    wire.sendCopyFail('no rows to send');
    // The server took our Sync for a part of the rows and needs another.
    if (!this.#isSimple) wire.sync();
  }

  /** CopyOutResponse; pg drops it, so the connection passes it on. */
  handleCopyOutResponse(): void {
    this.#refuseCopy('COPY TO STDOUT has no result to put its rows into');
  }

  handleCopyData(): void {
    // Refused by handleCopyOutResponse; the rows are read to their end and dropped.
  }

  #refuseCopy(what: string): void {
    const message = `${what}. Use the driver's own client (getRawConnection) with pg-copy-streams.`;
    this.#refusal ??= new InterfaceError(message, { statement: this.current?.text });
  }

  // pg forgets the batch after an error; ReadyForQuery is still to come and the connection settles it then.
  handleError(error: unknown): void {
    this.failure ??= error;
  }

  handleReadyForQuery(): void {
    this.#onReady(this);
  }
}
