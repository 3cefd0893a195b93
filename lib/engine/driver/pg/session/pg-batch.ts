import type { Submittable } from 'pg';
import { DBAPIError } from '../../../errors/errors.js';
import type { SessionNotice } from '../../driver.js';
import { changesOf } from '../../session-changes.js';
import { copyError, rowError, unskippedError } from '../wire/answer-errors.js';
import { CopyTransfer } from '../wire/copy-transfer.js';
import type { MessageTarget } from '../wire/message-reader.js';
import type { PgWire } from '../wire/pg-wire.js';
import { UnknownTypeSignal } from '../wire/row-builder.js';
import type { BatchListener, PgBatchParts, Question, RowDescription, WireContext } from './batch-parts.js';
import { readUnread, stepResult, unreadTypes } from './pg-step.js';
import type { Step, StepAnswer, StepResult } from './pg-step.js';
import { ExecutemanyPages } from './executemany-pages.js';
import { commitFailure, isWarning } from './commit-answer.js';
import { noteTag } from './note-tag.js';
import { BEGIN, COMMIT, distributionQuestion } from './own-steps.js';
import { toEngineError } from './pg-error.js';
import { isPlainEnd, PgStepWriter, type StatementAge, type WriterTask } from './pg-step-writer.js';
import { TypeQuestions } from './type-questions.js';

/**
 * Statements that leave in one write and share one Sync, given to the client as pg's documented
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
  readonly #parts: PgBatchParts;
  readonly #listener: BatchListener;
  readonly #writer: PgStepWriter;
  #steps: readonly Step[];
  /** How many are done and dropped, page by page. */
  #done = 0;
  #pages: ExecutemanyPages | undefined;
  /** Made where the batch may have one to ask. */
  #questions: TypeQuestions | undefined;
  /** To the current step. */
  #answer: StepAnswer = { layout: undefined, rows: [], bytes: 0, unread: [], csv: undefined };
  /** A result has rows that wait for their types. */
  #hasUnread = false;
  /** Its first result is that of BEGIN, and COMMIT is behind the last. */
  isWrapped = false;
  /** One Query message of any number of statements, which the server answers as if a Sync were behind it. */
  readonly #isSimple: boolean;
  /** What was sent behind the steps, and has no answer yet: COMMIT, or a question of ours. */
  #last: Question | undefined;
  #warnings: SessionNotice[] | undefined;
  /** `open`: there are more pages to come before the Sync. `asking`: it ends before the commands. */
  #progress: 'unwritten' | 'open' | 'written' | 'asking' = 'unwritten';
  /** The rows of its last step, which is a COPY; its Sync is sent when they have passed. */
  readonly copy: CopyTransfer | undefined;
  /** What can't be given to the application although the server has not refused it; the first one counts. */
  #refusal: Error | undefined;

  constructor(
    context: WireContext,
    wire: PgWire,
    parts: PgBatchParts,
    task: WriterTask,
    listener: BatchListener,
  ) {
    this.#context = context;
    this.#wire = wire;
    this.#writer = new PgStepWriter(wire.writer, context, task);
    this.#steps = parts.steps;
    this.#isSimple = parts.steps[0]?.simple === true;
    this.#parts = parts;
    const copy = parts.steps.at(-1)?.copy;
    if (copy !== undefined) this.copy = new CopyTransfer(wire, copy, () => this.#sync());
    this.#listener = listener;
  }

  /** Those that are on their way, and perhaps some that have been answered. */
  get steps(): readonly Step[] {
    return this.#steps;
  }

  /** The step that the server is answering now; the one that failed, when there is a failure. */
  get current(): Step | undefined {
    const { length } = this.results;
    const asked = this.#progress === 'asking' ? this.#questions?.current : undefined;
    // All answered and yet a failure: it came with the Sync or the COMMIT, as a deferred constraint does.
    return this.#steps[length - this.#done] ?? asked ?? this.#steps.at(-1);
  }

  /** Of the statement that failed. All of its first pages is undone where they have a BEGIN. */
  get age(): StatementAge {
    return this.#writer.ageOf(this.results.length, this.current, this.isWrapped && this.#done === 0);
  }

  /** Its answer is what the server says of types; the commands are still to be sent. */
  get isQuestion(): boolean {
    return this.#progress === 'asking';
  }

  /** Types that the database has to be asked about before the batch can go on, or its rows can be read. */
  get unknownTypes(): readonly number[] {
    return [...this.#writer.unknownTypes, ...unreadTypes(this.results)];
  }

  /**
   * `good`: its answer is whole and can be given to the caller as it is. `wrong`: some step has no result, or
   * there are more of them; a script has as many as the server says. `open`: it has failed, or has more to
   * send or to read.
   */
  get outcome(): 'good' | 'wrong' | 'open' {
    if (this.failure !== undefined) return 'open';
    if (!this.#isSimple) {
      const isWhole = this.results.length === this.#done + this.#steps.length && this.#last === undefined;
      if (!isWhole || this.#questions?.isAnswered === false) return 'wrong';
    }
    if (this.#refusal !== undefined || this.#pages !== undefined || this.#progress === 'asking')
      return 'open';
    return this.#writer.unknownTypes.length === 0 && !this.#hasUnread ? 'good' : 'open';
  }

  /** What the caller is told instead of a result. */
  get error(): Error | undefined {
    if (this.#refusal !== undefined) return this.#refusal;
    if (this.failure === undefined) return this.#pages?.failure;
    const { isDistributed } = this.#context;
    const told = this.#storing
      ? commitFailure(this.failure, this.#warnings ?? [], { isList: this.isWrapped, isDistributed })
      : undefined;
    const error = told ?? toEngineError(this.failure, this.current);
    if (this.#context.hideParameters === true && error instanceof DBAPIError) error.showParameters('hidden');
    return error;
  }

  /** COMMIT is what is being answered, or comes next. */
  get #storing(): boolean {
    const left = this.#steps[this.results.length - this.#done];
    return left === undefined ? this.#last === COMMIT : left.text === COMMIT.step.text;
  }

  /** What the server says beside its answers. */
  handleNotice(notice: SessionNotice): void {
    if (this.#storing && isWarning(notice)) (this.#warnings ??= []).push(notice);
  }

  /**
   * Writes everything up to the Sync, or the first pages, behind what the writer holds. What can't be sent
   * throws here.
   */
  write(): void {
    const { writer } = this.#wire;
    const [first] = this.#steps;
    if (this.#isSimple || (first?.prepare === false && isPlainEnd(this.#parts))) {
      this.#progress = 'written';
      if (this.#isSimple) this.#context.changes.add(changesOf(first?.text ?? ''));
      return writer.query(first?.text ?? '');
    }
    const { many } = this.#parts;
    let isOpen = many !== undefined;
    for (const step of this.#steps) {
      if (step.isControl) this.#writer.applySettings(step);
      isOpen ||= step.needsTypes;
    }
    if (isOpen && this.#asks()) return;
    const page = many === undefined ? [] : this.#firstPage(many);
    const { evicted } = this.#context.prepared;
    if (evicted.length > 0) for (const name of evicted.splice(0)) writer.closeStatement(name);
    for (const name of this.#parts.closePortals) writer.closePortal(name);
    if (page.length > 0) this.#steps = [...this.#steps, ...page];
    this.isWrapped = this.#parts.isAtomic && (this.#steps.length > 1 || this.#pages?.hasMore === true);
    if (this.isWrapped) this.#steps = [BEGIN, ...this.#steps];
    for (const step of this.#steps) this.#writer.write(step);
    if (this.#pages === undefined && this.copy === undefined) return this.#sync();
    this.#endPage(this.#pages);
    this.#writePages();
  }

  /** Writes nothing but control and questions, if there are any: the commands follow when types are known. */
  #asks(): boolean {
    this.#questions = new TypeQuestions(this.#writer, this.#context.serializeJson);
    const questions = this.#questions.of(this.#steps, this.#parts.many);
    if (questions.length === 0) return false;
    for (const step of this.#steps) if (step.isControl) this.#writer.write(step);
    this.#steps = this.#steps.filter(({ isControl }) => isControl);
    this.#questions.ask(questions);
    this.#progress = 'asking';
    if (this.#parts.many?.executemany.asksServer === true)
      this.#writeLast(distributionQuestion(this.#context));
    this.#wire.writer.sync();
    return true;
  }

  #firstPage(many: NonNullable<PgBatchParts['many']>): readonly Step[] {
    const known = many.executemany.needsTypes ? this.#questions?.knownOf(many.executemany) : undefined;
    const { executemany, pageSize } = many;
    this.#pages = new ExecutemanyPages(executemany, known, pageSize, this.#context);
    const page = this.#pages.take();
    if (this.#pages.failure !== undefined) throw this.#pages.failure;
    return page;
  }

  /** From now on the answers are its own. */
  submit(): void {
    this.#wire.send(this);
    this.#begin();
  }

  /**
   * Behind a page that is not the last one goes a Flush, which brings its answers while the next one is made.
   */
  #endPage(pages: ExecutemanyPages | undefined): void {
    if (pages?.hasMore === false) return this.#sync();
    this.#progress = 'open';
    pages?.sent(this.#done + this.#steps.length);
    this.#wire.writer.flush();
  }

  #writePages(): void {
    const pages = this.#pages;
    while (this.#progress === 'open' && pages?.hasRoom === true) {
      const page = this.#refusal === undefined ? pages.take() : [];
      if (page.length === 0) return this.#sync();
      this.#steps = [...this.#steps.slice(this.results.length - this.#done), ...page];
      this.#done = this.results.length;
      for (const step of page) this.#writer.write(step);
      this.#endPage(pages);
    }
  }

  /** There is nothing more to come. */
  #sync(): void {
    this.#progress = 'written';
    // Behind a page that can't be made, COMMIT would store the pages before it.
    const last = this.isWrapped ? COMMIT : this.#parts.question;
    if (last !== undefined && this.failure === undefined && this.error === undefined) this.#writeLast(last);
    this.#wire.writer.sync();
  }

  #writeLast(last: Question): void {
    this.#last = last;
    last.sent();
    this.#writer.write(last.step);
  }

  /** Sets the stage for the answers of the current step. */
  #begin(): void {
    const index = this.results.length;
    const step = this.#steps[index - this.#done];
    const layout = step?.bound ?? this.#writer.statements[index]?.layout;
    this.#answer = { layout, rows: [], bytes: 0, unread: [], csv: step?.csv?.begin() };
  }

  handleParseComplete(): void {
    this.#writer.handleParseComplete();
  }

  handleParameterDescription(typeOids: readonly number[]): void {
    const isAsked = this.#questions?.handleTypes(typeOids, this.#parts.many?.executemany);
    if (isAsked !== true) this.#writer.handleTypesOf(this.results.length, typeOids);
  }

  handleRowDescription(message: RowDescription): void {
    if (!this.#writer.repeats(this.results.length))
      this.#answer.layout = this.#context.layouts.of(message.fields);
  }

  handleDataRow(bytes: Buffer, start: number, end: number): void {
    const answer = this.#answer;
    const { layout, unread, csv } = answer;
    if (this.#refusal !== undefined || layout === undefined) return;
    answer.bytes += end - start;
    if (unread.length > 0) return void unread.push(Buffer.from(bytes.subarray(start, end)));
    try {
      if (csv?.isFor(layout) === true) csv.write(bytes, start, end);
      else answer.rows.push(layout.build(bytes, start, end));
    } catch (cause) {
      if (cause instanceof UnknownTypeSignal) unread.push(Buffer.from(bytes.subarray(start, end)));
      else this.#refuseRow(cause);
    }
  }

  #refuseRow(cause: unknown): void {
    this.#refusal = rowError(cause, this.current);
    if (cause instanceof DBAPIError && cause.connectionInvalidated) this.#listener.broken(cause);
  }

  /** Reads the rows that had to wait until their types were known. */
  readRest(): void {
    readUnread(this.results, this.#writer.statements, (cause) => this.#refuseRow(cause));
  }

  handleTag(bytes: Buffer, start: number, end: number): void {
    const tag = bytes.toString('latin1', start, end);
    // The server skips what is behind an error; something between us and it has not.
    if (this.failure !== undefined) return this.#listener.broken(unskippedError(tag, this.failure));
    const index = this.results.length;
    const step = this.#isSimple ? this.#steps[0] : this.#steps[index - this.#done];
    const statement = this.#writer.statements[index];
    // A query's answer means nothing for its session, nor do these two.
    const hasRows = this.#answer.layout !== undefined;
    const isQuery = hasRows && statement?.hasStableRows === true && !statement.configures;
    if (!isQuery && tag !== 'BEGIN' && tag !== 'COMMIT')
      noteTag(this.#context, tag, { step, statement, isScript: this.#isSimple, hasRows });
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
    const statement = this.#writer.statements[index];
    if (statement?.hasStableRows === true && !statement.isDescribed) {
      statement.isDescribed = true;
      statement.layout = this.#answer.layout;
    }
    const result = stepResult(tag, this.#answer, isSuspended);
    if (this.#last !== undefined && index - this.#done === this.#steps.length) {
      if (this.#last === COMMIT && this.#warnings !== undefined)
        Object.assign(this.results.at(-1) ?? {}, { warnings: this.#warnings });
      this.#last.answered(result);
      return void (this.#last = undefined);
    }
    if (this.#warnings !== undefined) Object.assign(result, { warnings: this.#warnings });
    this.results.push(result);
    this.#hasUnread ||= result.unread.length > 0;
    this.#steps[index - this.#done]?.acknowledged?.();
    if (index + 1 === this.#steps.length) this.copy?.answered();
    if (this.#pages?.isDone(this.results.length) === true) {
      this.#writePages();
      this.#wire.send();
      this.#parts.many?.onProgress?.(this.#pages.done);
    }
    this.#begin();
  }

  handleCopyInResponse(): void {
    if (this.copy?.direction === 'from') return this.copy.send();
    this.#refusal ??= copyError('in', this.#isSimple, this.current);
    this.#wire.failCopy('no rows to send', !this.#isSimple && this.#progress !== 'open');
  }

  /** CopyOutResponse; pg drops it, so the connection passes it on. */
  handleCopyOutResponse(): void {
    if (this.copy?.direction === 'to') return this.copy.receive();
    this.#refusal ??= copyError('out', this.#isSimple, this.current);
  }

  // What was refused by handleCopyOutResponse is read to its end and dropped.
  handleCopyData(bytes: Buffer, start: number, end: number): void {
    this.copy?.take(bytes, start, end);
  }

  handleError(error: unknown): void {
    this.failure ??= error;
    this.#listener.failed();
    this.copy?.stop();
    if (this.#progress !== 'open') return;
    this.#sync();
    this.#wire.send();
  }

  handleReadyForQuery(): void {
    this.#listener.finished();
  }
}
