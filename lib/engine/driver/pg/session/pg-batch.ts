import type { Submittable } from 'pg';
import { InterfaceError, StatementError } from '../../../errors/errors.js';
import type { ResolvedTypes } from '../../types/types.js';
import type { CommandResult, DriverRow } from '../../driver.js';
import { changesOf, SESSION_TAGS } from '../../session-changes.js';
import type { SessionChanges } from '../../session-changes.js';
import type { MessageTarget } from '../wire/message-reader.js';
import { toEngineError } from './pg-error.js';
import type { PgPages } from './pg-pages.js';
import type { JsonSerializer, Step } from './pg-step.js';
import { PgStepWriter } from './pg-step-writer.js';
import type { PgWire } from '../wire/pg-wire.js';
import type { PreparedStatements } from './prepared-statements.js';
import { RowLayout } from '../wire/row-builder.js';

export interface StepResult extends CommandResult {
  /** The portal has more rows. */
  readonly isSuspended: boolean;
  readonly layout: RowLayout | undefined;
}

/** What a session knows that outlives a batch. */
export interface WireContext {
  readonly prepared: PreparedStatements;
  readonly changes: SessionChanges;
  readonly types: ResolvedTypes;
  /** Errors of the server show no values, whoever sees them first. */
  readonly hideParameters?: boolean | undefined;
  /** Default: `JSON.stringify`. */
  readonly serializeJson?: JsonSerializer | undefined;
}

/** What is sent; once more where it has to be repeated. */
export interface PgBatchParts {
  readonly steps: readonly Step[];
  readonly closePortals: readonly string[];
  /** More steps, made and written while those before them run, under the same Sync. */
  readonly pages: PgPages | undefined;
}

interface RowDescription {
  readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[];
}

export interface ParameterDescription {
  readonly dataTypeIDs: readonly number[];
}

/**
 * Statements that leave in one write and share one Sync, given to `client.query()` as pg's documented
 * `Submittable`. When one fails, the server skips those behind it: nothing runs outside the transaction that
 * travels in front of it.
 */
export class PgBatch implements Submittable, MessageTarget {
  readonly results: StepResult[] = [];
  /**
   * The server's ErrorResponse, or pg's own error when the session broke. Settled by the next ReadyForQuery.
   */
  failure: unknown;

  readonly #context: WireContext;
  readonly #wire: PgWire;
  #steps: readonly Step[];
  /** How many are done and dropped, page by page. */
  #done = 0;
  readonly #pages: PgPages | undefined;
  readonly #closePortals: readonly string[];
  readonly #onReady: (batch: PgBatch) => void;
  readonly #writer: PgStepWriter;
  #rows: DriverRow[] = [];
  #layout: RowLayout | undefined;
  /** `open`: there are more pages to come before the Sync. */
  #progress: 'unwritten' | 'open' | 'written' = 'unwritten';
  /** What can't be given to the user although the server has no complaint; the first one counts. */
  #refusal: Error | undefined;

  constructor(
    context: WireContext,
    wire: PgWire,
    { steps, closePortals, pages }: PgBatchParts,
    onReady: (batch: PgBatch) => void,
  ) {
    this.#context = context;
    this.#wire = wire;
    this.#writer = new PgStepWriter(wire.writer, context);
    this.#steps = steps;
    this.#closePortals = closePortals;
    this.#onReady = onReady;
    this.#pages = pages;
    pages?.rewind();
  }

  /** Those that are on their way, and perhaps some that have been answered. */
  get steps(): readonly Step[] {
    return this.#steps;
  }

  /** The step that the server is answering now; the one that failed, when there is a failure. */
  get current(): Step | undefined {
    // All answered and yet a failure: it came with the Sync, as a deferred constraint does outside a
    // transaction.
    return this.#stepAt(Math.min(this.results.length, this.#done + this.#steps.length - 1));
  }

  #stepAt(index: number): Step | undefined {
    return this.#steps[index - this.#done];
  }

  /** One Query message of any number of statements, which the server answers as if a Sync were behind it. */
  get #isSimple(): boolean {
    return this.#steps[0]?.simple === true;
  }

  /** Each step has its result, or one has failed; a script has as many as the server says. */
  get isAnswered(): boolean {
    const isWhole = this.results.length === this.#done + this.#steps.length;
    return isWhole || this.failure !== undefined || this.#isSimple;
  }

  /** What the caller is told instead of a result. */
  get error(): Error | undefined {
    if (this.#refusal !== undefined) return this.#refusal;
    if (this.failure === undefined) return this.#pages?.failure;
    const error = toEngineError(this.failure, this.current?.text, this.current?.parameters);
    if (this.#context.hideParameters === true) error.showParameters('hidden');
    return error;
  }

  /** Sends it behind others; the answers come when those to what was sent before have come. */
  write(): void {
    this.#write();
    this.#wire.sendSoon();
  }

  #write(): void {
    const { writer } = this.#wire;
    if (this.#isSimple) {
      this.#progress = 'written';
      const text = this.#steps[0]?.text ?? '';
      this.#context.changes.add(changesOf(text));
      return writer.query(text);
    }
    for (const name of this.#context.prepared.takeEvicted()) writer.closeStatement(name);
    for (const name of this.#closePortals) writer.closePortal(name);
    this.#writeSteps(this.#steps);
    this.#writePages();
  }

  /** From now on the answers are its own. */
  submit(): void {
    this.#wire.target = this;
    if (this.#progress === 'unwritten') this.#write();
    this.#wire.send();
    this.#begin();
  }

  /**
   * Behind a page that is not the last one goes a Flush, which brings its answers while the next one is made.
   */
  #writeSteps(steps: readonly Step[]): void {
    for (const step of steps) this.#writer.write(step);
    if (this.#pages?.hasMore !== true) return this.#sync();
    this.#progress = 'open';
    this.#pages.sent(this.#done + this.#steps.length);
    this.#wire.writer.flush();
    this.#wire.send();
  }

  #writePages(): void {
    const pages = this.#pages;
    while (this.#progress === 'open' && pages?.hasRoom === true) {
      const page = this.#refusal === undefined ? pages.take() : undefined;
      if (page === undefined) return this.#sync();
      this.#steps = [...this.#steps.slice(this.results.length - this.#done), ...page];
      this.#done = this.results.length;
      this.#writeSteps(page);
    }
  }

  /** There is nothing more to come. */
  #sync(): void {
    this.#progress = 'written';
    this.#wire.writer.sync();
  }

  /** Sets the stage for the answers of the current step. */
  #begin(): void {
    const index = this.results.length;
    this.#rows = [];
    this.#layout = this.#stepAt(index)?.bound ?? this.#writer.statementOf(index)?.layout;
  }

  handleParseComplete(): void {
    this.#writer.handleParseComplete();
  }

  handleParameterDescription({ dataTypeIDs: typeOids }: ParameterDescription): void {
    const statement = this.#writer.statementOf(this.results.length);
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
    if (SESSION_TAGS.has(tag)) this.#noteSessionChange(tag);
    this.#complete(tag, false);
  }

  #noteSessionChange(tag: string): void {
    this.#context.changes.noteTag(tag, this.#isSimple ? undefined : this.current?.text);
    if (tag === 'DISCARD ALL' || tag === 'DEALLOCATE ALL') this.#context.prepared.vanish();
  }

  handleEmptyQuery(): void {
    this.#complete('', false);
  }

  handlePortalSuspended(): void {
    this.#complete('', true);
  }

  #complete(tag: string, isSuspended: boolean): void {
    const index = this.results.length;
    const statement = this.#writer.statementOf(index);
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
    this.#stepAt(index)?.acknowledged?.();
    if (this.#pages?.isDone(this.results.length) === true) {
      this.#writePages();
      this.#wire.send();
    }
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
    if (this.#progress !== 'open') return;
    this.#sync();
    this.#wire.send();
  }

  handleReadyForQuery(): void {
    this.#onReady(this);
  }
}
