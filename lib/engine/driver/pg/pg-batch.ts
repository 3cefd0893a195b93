import type { Connection, Submittable } from 'pg';
import { InterfaceError } from '../../errors.js';
import type { ResolvedTypes } from '../../types.js';
import type { CommandResult, DriverRow } from '../driver.js';
import type { PreparedStatement, PreparedStatements } from './prepared-statements.js';
import type { Step, WireValue } from './pg-step.js';
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
  sendCopyFail(message: string): void;
}

interface DataRow {
  readonly fields: readonly (string | null)[];
}

interface RowDescription {
  readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[];
}

/**
 * Statements that leave in one write and share one Sync, given to `client.query()` as pg's documented `Submittable`.
 * When one fails, the server skips those behind it: nothing runs outside the transaction that travels in front of it.
 */
export class PgBatch implements Submittable {
  readonly results: StepResult[] = [];
  /** The server's ErrorResponse, or pg's own error when the session broke. Settled by the next ReadyForQuery. */
  failure: unknown;
  /** True once its bytes were written. */
  isSubmitted = false;

  readonly #context: WireContext;
  readonly #steps: readonly Step[];
  readonly #closePortals: readonly string[];
  readonly #onReady: (batch: PgBatch) => void;
  readonly #named: (PreparedStatement | undefined)[] = [];
  readonly #parses: number[] = [];
  #rows: DriverRow[] = [];
  #layout: RowLayout | undefined;
  #decodeError: unknown;

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
    return this.#steps[this.results.length];
  }

  /** A value that arrived and could not be turned into what the user sees; the statement itself has run. */
  get decodeError(): unknown {
    return this.#decodeError;
  }

  submit(connection: Connection): void {
    this.isSubmitted = true;
    const wire = connection as unknown as Wire;
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
      const named = this.#statementFor(wire, step, index);
      wire.bind({ portal, statement: named?.name ?? '', values: step.values });
      if (named === undefined || !named.isDescribed) wire.describe({ type: 'P', name: portal });
    }
    wire.execute(step.portal === undefined ? undefined : { portal, rows: step.portal.rows });
  }

  #statementFor(wire: Wire, step: Step, index: number): PreparedStatement | undefined {
    const { prepared } = this.#context;
    const isNamed = step.prepare && prepared.isEnabled;
    let statement = isNamed ? prepared.find(step.text) : undefined;
    if (statement === undefined) {
      statement = isNamed ? prepared.create() : undefined;
      wire.parse({ name: statement?.name ?? '', text: step.text });
      this.#parses.push(index);
    }
    this.#named[index] = statement;
    return statement;
  }

  /** Sets the stage for the answers of the current step. */
  #begin(): void {
    this.#rows = [];
    this.#layout = this.current?.bound ?? this.#named[this.results.length]?.layout;
  }

  /** ParseComplete; pg hands it to its own queries only, so the connection passes it on. */
  handleParseComplete(): void {
    const index = this.#parses.shift();
    const statement = index === undefined ? undefined : this.#named[index];
    const text = index === undefined ? undefined : this.#steps[index]?.text;
    if (statement !== undefined && text !== undefined) this.#context.prepared.keep(text, statement);
  }

  handleRowDescription(message: RowDescription): void {
    const fields = message.fields.map((field) => ({ name: field.name, typeOid: field.dataTypeID }));
    this.#layout = new RowLayout(fields, this.#context.types);
  }

  handleDataRow(message: DataRow): void {
    if (this.#decodeError !== undefined || this.#layout === undefined) return;
    try {
      this.#rows.push(this.#layout.build(message.fields));
    } catch (error) {
      this.#decodeError = error;
    }
  }

  handleCommandComplete(message: { readonly text: string }): void {
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
    const named = this.#named[index];
    if (named !== undefined && !named.isDescribed) {
      named.isDescribed = true;
      named.layout = this.#layout;
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

  // COPY FROM STDIN has no source here. The server ignored our Sync while it waited for data, so it needs another.
  handleCopyInResponse(connection: Connection): void {
    const wire = connection as unknown as Wire;
    wire.sendCopyFail('COPY FROM STDIN needs a stream: use the driver connection with pg-copy-streams');
    wire.sync();
  }

  handleCopyData(): void {
    this.#decodeError ??= new InterfaceError(
      'COPY TO STDOUT has no rows to return. Use the driver connection with pg-copy-streams.',
    );
  }

  // pg forgets the batch after an error; ReadyForQuery is still to come and the connection settles it then.
  handleError(error: unknown): void {
    this.failure ??= error;
  }

  handleReadyForQuery(): void {
    this.#onReady(this);
  }
}
