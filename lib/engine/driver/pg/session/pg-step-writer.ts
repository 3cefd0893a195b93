import type { MessageWriter } from '../wire/message-writer.js';
import type { SessionChanges } from '../../session-changes.js';
import { sqlOf } from './pg-step.js';
import type { Step } from './pg-step.js';
import { PreparedStatement } from './prepared-statements.js';
import type { PreparedStatements } from './prepared-statements.js';

/** A text on the server, or on its way there. */
interface Sent {
  readonly sql: string;
  readonly statement: PreparedStatement;
}

/** What the steps of a session have in common. */
interface StepContext {
  readonly prepared: PreparedStatements;
  readonly changes: SessionChanges;
}

/** Writes the steps of a batch one behind the other, and knows which statement each of them runs. */
export class PgStepWriter {
  readonly #writer: MessageWriter;
  readonly #prepared: PreparedStatements;
  readonly #changes: SessionChanges;
  readonly #statements: (PreparedStatement | undefined)[] = [];
  /** Parsed by the server when it confirms it. */
  readonly #parses: Sent[] = [];
  #last: Sent | undefined;

  constructor(writer: MessageWriter, { prepared, changes }: StepContext) {
    this.#writer = writer;
    this.#prepared = prepared;
    this.#changes = changes;
  }

  /** What the step with the number `index` runs; undefined where its portal is bound already. */
  statementOf(index: number): PreparedStatement | undefined {
    return this.#statements[index];
  }

  write(step: Step): void {
    const writer = this.#writer;
    const portal = step.portal?.name ?? '';
    const before = this.#last?.statement;
    const statement = step.bound === undefined ? this.#statementFor(step) : undefined;
    this.#statements.push(statement);
    if (statement !== undefined) {
      // Noted before it runs: a statement that fails may have taken a lock.
      if (statement.changes.length > 0) this.#changes.add(statement.changes);
      const wasAsked = before === statement && statement.hasStableRows;
      if (step.insert !== undefined) writer.describeStatement(statement.name);
      writer.bind(portal, statement.name, step.values);
      const isAsked = statement.isDescribed || wasAsked || step.insert !== undefined;
      if (!isAsked) writer.describePortal(portal);
    }
    writer.execute(portal, step.portal?.rows ?? 0);
  }

  #statementFor(step: Step): PreparedStatement {
    const sql = sqlOf(step);
    const isNamed = step.prepare && this.#prepared.isEnabled;
    const last = this.#last;
    // An executemany repeats one text: it is parsed once, although the server has not confirmed it yet.
    if (last?.sql === sql && last.statement.isNamed === isNamed) return last.statement;
    const statement = (isNamed ? this.#prepared.find(sql) : undefined) ?? this.#parse(sql, isNamed);
    this.#last = { sql, statement };
    return statement;
  }

  #parse(sql: string, isNamed: boolean): PreparedStatement {
    const statement = isNamed ? this.#prepared.create(sql) : new PreparedStatement('', sql);
    this.#writer.parse(statement.name, sql);
    this.#parses.push({ sql, statement });
    return statement;
  }

  /** The server has confirmed the first Parse that it had not. */
  handleParseComplete(): void {
    const parsed = this.#parses.shift();
    if (parsed?.statement.isNamed === true) this.#prepared.keep(parsed.sql, parsed.statement);
  }
}
