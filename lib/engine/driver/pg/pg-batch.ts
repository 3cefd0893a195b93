import type { Submittable } from 'pg';
import { InterfaceError, StatementError } from '../../errors.js';
import type { ResolvedTypes } from '../../types.js';
import type { CommandResult, DriverRow } from '../driver.js';
import type { MessageTarget } from './message-reader.js';
import type { MessageWriter } from './message-writer.js';
import { toEngineError } from './pg-error.js';
import { sqlOf } from './pg-step.js';
import type { JsonSerializer, Step } from './pg-step.js';
import type { PgWire } from './pg-wire.js';
import { PreparedStatement } from './prepared-statements.js';
import type { PreparedStatements } from './prepared-statements.js';
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

interface RowDescription {
  readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[];
}

export interface ParameterDescription {
  readonly dataTypeIDs: readonly number[];
}

const NAMES_ARE_GONE: ReadonlySet<string> = new Set(['DISCARD ALL', 'DEALLOCATE ALL']);

/**
 * Statements that leave in one write and share one Sync, given to `client.query()` as pg's documented `Submittable`.
 * When one fails, the server skips those behind it: nothing runs outside the transaction that travels in front of it.
 */
export class PgBatch implements Submittable, MessageTarget {
  readonly results: StepResult[] = [];
  /** The server's ErrorResponse, or pg's own error when the session broke. Settled by the next ReadyForQuery. */
  failure: unknown;

  readonly #context: WireContext;
  readonly #wire: PgWire;
  readonly #steps: readonly Step[];
  readonly #closePortals: readonly string[];
  readonly #onReady: (batch: PgBatch) => void;
  readonly #statements: (PreparedStatement | undefined)[] = [];
  readonly #parses: number[] = [];
  #rows: DriverRow[] = [];
  #layout: RowLayout | undefined;
  #isWritten = false;
  /** What can't be given to the user although the server has no complaint; the first one counts. */
  #refusal: Error | undefined;

  constructor(
    context: WireContext,
    wire: PgWire,
    steps: readonly Step[],
    closePortals: readonly string[],
    onReady: (batch: PgBatch) => void,
  ) {
    this.#context = context;
    this.#wire = wire;
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

  /** Sends it behind others; the answers come when those to what was sent before have come. */
  write(): void {
    this.#write();
    this.#wire.sendSoon();
  }

  #write(): void {
    const { writer } = this.#wire;
    if (this.#isSimple) writer.query(this.#steps[0]?.text ?? '');
    else this.#writeTo(writer);
    this.#isWritten = true;
  }

  /** From now on the answers are its own. */
  submit(): void {
    this.#wire.target = this;
    if (!this.#isWritten) this.#write();
    this.#wire.send();
    this.#begin();
  }

  #writeTo(writer: MessageWriter): void {
    for (const name of this.#context.prepared.takeEvicted()) writer.closeStatement(name);
    for (const name of this.#closePortals) writer.closePortal(name);
    this.#steps.forEach((step, index) => this.#writeStep(writer, step, index));
    writer.sync();
  }

  #writeStep(writer: MessageWriter, step: Step, index: number): void {
    const portal = step.portal?.name ?? '';
    if (step.bound === undefined) {
      const statement = this.#statementFor(writer, step, index);
      const wasAsked = index > 0 && this.#statements[index - 1] === statement && statement.hasStableRows;
      if (step.insert !== undefined) writer.describeStatement(statement.name);
      writer.bind(portal, statement.name, step.values);
      const isAsked = statement.isDescribed || wasAsked || step.insert !== undefined;
      if (!isAsked) writer.describePortal(portal);
    }
    writer.execute(portal, step.portal?.rows ?? 0);
  }

  #statementFor(writer: MessageWriter, step: Step, index: number): PreparedStatement {
    const { prepared } = this.#context;
    const isNamed = step.prepare && prepared.isEnabled;
    const sql = sqlOf(step);
    let statement = this.#sameAsBefore(sql, isNamed, index) ?? (isNamed ? prepared.find(sql) : undefined);
    if (statement === undefined) {
      statement = isNamed ? prepared.create(sql) : new PreparedStatement('', sql);
      writer.parse(statement.name, sql);
      this.#parses.push(index);
    }
    this.#statements[index] = statement;
    return statement;
  }

  /** The pages of an executemany repeat one text: it is parsed once, although the server has not confirmed it yet. */
  #sameAsBefore(sql: string, isNamed: boolean, index: number): PreparedStatement | undefined {
    const step = this.#steps[index - 1];
    const before = this.#statements[index - 1];
    return before?.isNamed === isNamed && step !== undefined && sqlOf(step) === sql ? before : undefined;
  }

  /** Sets the stage for the answers of the current step. */
  #begin(): void {
    const index = this.results.length;
    this.#rows = [];
    this.#layout = this.#steps[index]?.bound ?? this.#statements[index]?.layout;
  }

  handleParseComplete(): void {
    const index = this.#parses.shift();
    if (index === undefined) return;
    const statement = this.#statements[index];
    const step = this.#steps[index];
    if (step !== undefined && statement?.isNamed === true)
      this.#context.prepared.keep(sqlOf(step), statement);
  }

  handleParameterDescription({ dataTypeIDs: typeOids }: ParameterDescription): void {
    const statement = this.#statements[this.results.length];
    const insert = this.current?.insert;
    if (statement === undefined || insert === undefined) return;
    const sql = insert.sqlFor(typeOids);
    statement.many = sql === undefined ? 'none' : { sql, typeOids };
  }

  handleRowDescription(message: RowDescription): void {
    const fields = message.fields.map((field) => ({ name: field.name, typeOid: field.dataTypeID }));
    this.#layout = new RowLayout(fields, this.#context.types);
  }

  handleDataRow(bytes: Buffer, start: number, end: number): void {
    if (this.#refusal !== undefined || this.#layout === undefined) return;
    try {
      this.#rows.push(this.#layout.build(bytes, start, end));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.#refusal = new StatementError(
        `the statement has run, but a value of its result could not be decoded: ${reason}`,
        { cause, statement: this.current?.text, parameters: this.current?.parameters },
      );
    }
  }

  handleTag(bytes: Buffer, start: number, end: number): void {
    const tag = bytes.toString('latin1', start, end);
    if (NAMES_ARE_GONE.has(tag)) this.#context.prepared.vanish();
    this.#complete(tag, false);
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

  handleCopyInResponse(): void {
    this.#refuseCopy('COPY FROM STDIN has no rows to send');
    this.#wire.failCopy('no rows to send', !this.#isSimple);
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
