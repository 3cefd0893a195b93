import { HttpException } from '@nestjs/common';
import { ScopeEndedError } from '../../engine/index.js';
import type { EngineLogger, Lease, Scope, UnitOfWork } from '../../engine/index.js';
import { printable } from '../../engine/util/logger.js';
import type { ResponseEnd } from './response-end.js';
import { isStreamedBody } from './streamed-body.js';
import { nameAndReasonOf } from '../../engine/errors/thrown.js';

/** Of nginx; no client reads it. */
const CLIENT_CLOSED_REQUEST = 499;

type UnitEnd = 'complete' | 'fail';

/** What the unit of a handler is a part of. */
interface HandlerUnitParts {
  readonly scope: Scope;
  readonly logger: EngineLogger;
  /** Over HTTP. */
  readonly response: ResponseEnd | undefined;
  /** False: it is a part of a larger operation, with whose end the transaction ends. */
  endsUnit(): boolean;
}

/**
 * The unit of work of one handler: keeps its scope open until the handler has ended, and ends the scope's
 * transaction then.
 */
export class HandlerUnit {
  readonly #parts: HandlerUnitParts;
  readonly #lease: Lease;
  /** What the handler leaves running is refused after its end. */
  readonly work: UnitOfWork;

  constructor(parts: HandlerUnitParts) {
    this.#parts = parts;
    this.#lease = parts.scope.lease();
    this.work = parts.scope.openUnit();
  }

  get scope(): Scope {
    return this.#parts.scope;
  }

  get logger(): EngineLogger {
    return this.#parts.logger;
  }

  /** False: the transaction ends with a larger operation. */
  get endsUnit(): boolean {
    return this.#parts.endsUnit();
  }

  /** The handler has succeeded with `values`. Undefined where there is nothing to wait for. */
  complete(values: readonly unknown[]): Promise<void> | undefined {
    const { response } = this.#parts;
    // A streamed body is produced while it is sent: the transaction ends with the response.
    if (response === undefined || !values.some(isStreamedBody)) return this.#settle('complete');
    response.onEnd(() => void this.#settleLate(response.outcome === 'finished' ? 'complete' : 'fail'));
    return undefined;
  }

  /** Calls `listener` when the client goes away before it has its answer. */
  onCut(listener: () => void): void {
    const { response } = this.#parts;
    response?.onEnd(() => {
      if (response.outcome === 'cut') listener();
    });
  }

  /** The handler has failed, or no longer matters. */
  fail(): Promise<void> {
    return this.#settleLate('fail');
  }

  /** Undoes `runs` of the handler, while the unit goes on. False where they are undone by something else. */
  async undoRuns(runs: readonly UnitOfWork[]): Promise<boolean> {
    try {
      return await this.#parts.scope.undoRuns(runs);
    } catch (error) {
      this.#report(error);
      return true;
    }
  }

  /**
   * What exception filters get for `error`. A client that left while its request waited in line is not
   * a failure of the application: Nest logs no error for an HTTP exception.
   */
  exceptionFor(error: unknown): unknown {
    if (!(error instanceof ScopeEndedError) || this.#parts.response?.outcome !== 'cut') return error;
    return new HttpException('Client Closed Request', CLIENT_CLOSED_REQUEST, { cause: error });
  }

  /** A COMMIT has failed whose error may not reach the client: where it was `unheard`, or has come late. */
  commitFailed(error: unknown, unheard: boolean): void {
    const { scope, logger, response } = this.#parts;
    if (response?.isStarted === true) {
      logger.error(
        printable(
          `${scope.origin} answered before its COMMIT, which failed. Return the body or use ` +
            `@Res({ passthrough: true }), so that a failed COMMIT is the answer. ${nameAndReasonOf(error)}`,
        ),
      );
    } else if (unheard) this.#report(error);
  }

  /** Where a failure can no longer be answered, it is at least reported. */
  async #settleLate(end: UnitEnd): Promise<void> {
    try {
      await this.#settle(end);
    } catch (error) {
      this.#report(error);
    }
  }

  #report(error: unknown): void {
    const { scope, logger } = this.#parts;
    logger.error(printable(`${scope.origin}: ${nameAndReasonOf(error)}`));
  }

  /**
   * Ends the unit and lets go of the scope; undefined where there is nothing to wait for, as in most
   * requests.
   */
  #settle(end: UnitEnd): Promise<void> | undefined {
    const { scope } = this.#parts;
    if (!this.endsUnit) return this.#lease.release();
    if (scope.transaction !== undefined) return this.#settleUnit(end);
    void scope[end]();
    return this.#lease.release();
  }

  async #settleUnit(end: UnitEnd): Promise<void> {
    try {
      await this.#parts.scope[end]();
    } finally {
      await this.#lease.release();
    }
  }
}
