import { dependsOnType } from '../wire/encode-value.js';
import type { MessageWriter } from '../wire/message-writer.js';
import { NarrowTypes } from '../wire/narrow-types.js';
import type { PgBatchParts, WireContext } from './batch-parts.js';
import type { ParameterType } from '../../types/type-catalog.js';
import { withoutTrailingComment } from '../../../statement/trailing-comment.js';
import { sqlOf, toStep, type Step, type WireCommand } from './pg-step.js';
import { mayConfigure } from '../prepared/parse-settings.js';
import { plainEnds, type PreparedStatement } from '../prepared/prepared-statements.js';
import type { ServerStatus } from '../../driver.js';

/** A text on the server, or on its way there. */
interface Sent {
  /** What it is kept by. */
  readonly key: string | undefined;
  readonly statement: PreparedStatement;
}

export type StatementAge = 'new' | 'old' | 'repeatable';

/** The task that a batch is a part of. */
export interface WriterTask {
  readonly number: number;
  /** The server's state before anything of it was sent. */
  readonly startedIn: ServerStatus;
  /** Statements whose types it has asked for, by their text. Made with the first of them. */
  asked: Map<string, PreparedStatement> | undefined;
}

/** COMMIT or ROLLBACK alone: sent as a Query, the server has one message of it to read, and not four. */
export function isPlainEnd({ steps, many, question, closePortals }: PgBatchParts): boolean {
  const isAlone = steps.length === 1 && many === undefined && question === undefined;
  return isAlone && closePortals.length === 0 && plainEnds().has(steps[0]?.text ?? '');
}

/** Writes the steps of a batch one behind the other, and knows which statement each of them runs. */
export class PgStepWriter {
  /** What each step runs, in their order; undefined where its portal is bound already. */
  readonly statements: (PreparedStatement | undefined)[] = [];
  /** Types that have to be looked up before the values of a step can be written. */
  readonly unknownTypes: number[] = [];
  readonly #writer: MessageWriter;
  readonly #context: WireContext;
  readonly #task: WriterTask;
  /** Parsed by the server when it confirms it. */
  readonly #parses: Sent[] = [];
  /** The statement whose types the server has told last. */
  #typedAt = -1;
  #last: PreparedStatement | undefined;

  constructor(writer: MessageWriter, context: WireContext, task: WriterTask) {
    this.#writer = writer;
    this.#context = context;
    this.#task = task;
  }

  /**
   * `old`: the statement at `index`, which runs `step`, was parsed for an earlier task, or its values are
   * written by types that the server has told then. `repeatable`: nor has it run in front of that, unless
   * all of this `isUndone`.
   */
  ageOf(index: number, step: Step | undefined, isUndone: boolean): StatementAge {
    const statement = this.statements[index];
    if (statement?.hasStableRows !== true) return 'new';
    if (statement.parsedIn === this.#task.number && !this.#isTypedBefore(step)) return 'new';
    return isUndone || this.statements[index - 1] !== statement ? 'repeatable' : 'old';
  }

  #isTypedBefore(step: Step | undefined): boolean {
    if (step === undefined) return false;
    if (!step.needsTypes && step.sql === undefined && step.typeOids === undefined) return false;
    const asked = this.#asked(withoutTrailingComment(step.text));
    return asked !== undefined && asked.parsedIn < this.#task.number;
  }

  /**
   * Writes Parse where the server does not have the text, Bind, Describe where its rows are not known,
   * Execute.
   */
  write(step: Step): void {
    const writer = this.#writer;
    const portal = step.portal?.name ?? '';
    const before = this.#last;
    const statement = step.bound === undefined ? this.#statementFor(step) : undefined;
    this.statements.push(statement);
    if (statement !== undefined) {
      if (statement !== before && statement.parsedIn === this.#task.number) this.#describe(statement, step);
      // Noted before it runs: a statement that fails may have taken a lock.
      if (statement.changes.length > 0) this.#context.changes.add(statement.changes);
      const wasAsked = before === statement && statement.hasStableRows;
      const typed = step.needsTypes ? this.#typed(step, statement) : step;
      writer.bind(portal, statement.name, typed.values);
      if (!statement.isDescribed && !wasAsked) writer.describePortal(portal);
    }
    writer.execute(portal, step.portal?.rows ?? 0);
  }

  /** Asks, with the first execution, for the types of the values. */
  #describe(statement: PreparedStatement, step: Step): void {
    // What is sent in the place of the text, for an executemany, names its types itself.
    if (!statement.isNamed || step.isControl || step.values.length === 0 || step.sql !== undefined) return;
    if (statement.typeOids === undefined) this.#writer.describeStatement(statement.name);
  }

  /** The answer to that, for the statement at `index`. */
  handleTypesOf(index: number, typeOids: readonly number[]): void {
    const statement = this.statements[index];
    if (statement !== undefined) statement.narrowTypes = NarrowTypes.of(typeOids);
    this.#typedAt = index;
  }

  /** True: a description of its rows came with its types; that of its portal, which has formats, follows. */
  repeats(index: number): boolean {
    const repeats = this.#typedAt === index;
    this.#typedAt = -1;
    return repeats;
  }

  /** False: the types that it was parsed with would cut off a value, and may be others by now. */
  #keeps({ narrowTypes, parsedIn }: PreparedStatement, values: readonly unknown[]): boolean {
    return narrowTypes === undefined || parsedIn === this.#task.number || narrowTypes.keep(values);
  }

  /** The same for many sets of values; where it is false, the text is parsed anew. */
  keepsAll(statement: PreparedStatement, sets: Iterable<WireCommand>): boolean {
    if (statement.narrowTypes === undefined) return true;
    for (const { parameters, values = [] } of sets) {
      if (this.#keeps(statement, parameters ?? values)) continue;
      this.#context.prepared.forget(statement.text);
      return false;
    }
    return true;
  }

  /**
   * True: a type that it was parsed with takes no list, and may be another one by now: it is parsed anew.
   */
  refusesLists(statement: PreparedStatement, isList: (index: number) => boolean): boolean {
    const { types, prepared } = this.#context;
    const isRefused = statement.typeOids?.some(
      (oid, index) => isList(index) && types.catalog.parameterType(oid).isSingle,
    );
    if (isRefused !== true || statement.parsedIn === this.#task.number) return false;
    prepared.forget(statement.text);
    return true;
  }

  /** What Control sets is in force for all that is parsed behind it. */
  applySettings(step: Step): void {
    const { settings } = this.#context.prepared;
    if (step.settings !== undefined)
      settings.setLocally(step.settings, step.parameters, this.#task.startedIn);
    else if (step.isControl && step.text !== 'BEGIN' && mayConfigure(step.text)) settings.changeLocally();
  }

  /**
   * What is known of the text that was asked about; undefined where the server has to be asked first.
   * `needed` says of which values it must be known whether they are json.
   */
  known(text: string, needed: (index: number) => boolean): PreparedStatement | undefined {
    const statement = this.#asked(withoutTrailingComment(text));
    if (statement?.typeOids === undefined) return undefined;
    const { catalog } = this.#context.types;
    const unknown = statement.typeOids.filter((oid, index) => needed(index) && catalog.needs(oid));
    this.unknownTypes.push(...unknown);
    return unknown.length === 0 ? statement : undefined;
  }

  #asked(text: string): PreparedStatement | undefined {
    return this.#task.asked?.get(text) ?? this.#context.prepared.findAsked(text);
  }

  /** True: the values of the step can be written. */
  isReady(step: Step): boolean {
    const isList = (index: number): boolean => dependsOnType(step.parameters[index]);
    const known = this.known(sqlOf(step), isList);
    return known !== undefined && !this.refusesLists(known, isList) && this.keepsAll(known, [step]);
  }

  /**
   * Asks the server for the types of a text's values, unless it has said them and they have to be looked up.
   */
  ask(step: Step): PreparedStatement | undefined {
    if (this.unknownTypes.length > 0) return undefined;
    const statement = this.#statementFor(step);
    this.#writer.describeStatement(statement.name);
    return statement;
  }

  /** The answer to that. */
  handleTypes(
    statement: PreparedStatement,
    typeOids: readonly number[],
    needed: (index: number) => boolean,
  ): void {
    statement.typeOids = typeOids;
    statement.parsedAt ||= performance.now();
    statement.narrowTypes = NarrowTypes.of(typeOids);
    const { catalog } = this.#context.types;
    this.unknownTypes.push(...typeOids.filter((oid, index) => needed(index) && catalog.needs(oid)));
    (this.#task.asked ??= new Map()).set(statement.text, statement);
    this.#context.prepared.keepAsked(statement);
  }

  #typed(step: Step, statement: PreparedStatement): Step {
    const { serializeJson, types } = this.#context;
    const typeOids = this.#asked(statement.text)?.typeOids ?? [];
    const typeOf = (index: number): ParameterType => types.catalog.parameterType(typeOids[index] ?? 0);
    return toStep({ ...step, values: step.parameters }, serializeJson, step.isControl, typeOf);
  }

  #statementFor(step: Step): PreparedStatement {
    const sql = step.sql ?? step.text;
    const text = sql.endsWith('*/') ? withoutTrailingComment(sql) : sql;
    const { prepared } = this.#context;
    const last = this.#last;
    // A name that is gone is found out by its failure, which ends a transaction that has begun before.
    const canRepeat = this.#task.startedIn === 'idle' || !prepared.isUncertain;
    // An executemany repeats one text: it is parsed once, although the server has not confirmed it yet.
    const isNamed = step.prepare && canRepeat;
    if (last?.text === text && (isNamed || !last.isNamed) && this.#keeps(last, step.parameters)) return last;
    const found = isNamed ? prepared.find(text, step.isControl) : undefined;
    const isUsable = found?.narrowTypes === undefined || this.#keeps(found, step.parameters);
    this.#last =
      found !== undefined && isUsable
        ? found
        : this.#parse(canRepeat ? step : { ...step, prepare: false }, text, sql);
    return this.#last;
  }

  /** `text`: what the statement is kept by; `sql`: the same with its comment. */
  #parse(step: Step, text: string, sql: string): PreparedStatement {
    const { prepared } = this.#context;
    const statement = plainEnds().get(sql) ?? prepared.create(step, text, this.#task.number);
    // So that the server refuses values that are written by types which are others by now.
    const typeOids = step.needsTypes ? this.#asked(text)?.typeOids : step.typeOids;
    this.#writer.parse(statement.name, sql, typeOids);
    const key = statement.isNamed ? prepared.keyOf(text, step.isControl) : undefined;
    this.#parses.push({ key, statement });
    return statement;
  }

  /** The server has confirmed the first Parse that it had not. */
  handleParseComplete(): void {
    const parsed = this.#parses.shift();
    if (parsed?.statement.isNamed === true) this.#context.prepared.keep(parsed.key, parsed.statement);
  }
}
