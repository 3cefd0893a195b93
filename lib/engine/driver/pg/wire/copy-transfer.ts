import { NotSupportedError } from '../../../errors/server-errors.js';
import { runNextTurn } from '../../../util/clock.js';
import type { CopySink, CopySource } from '../../driver.js';
import type { PgWire } from './pg-wire.js';

const nextTurn = (): Promise<void> => new Promise((resolve) => void runNextTurn(resolve));

/** Rows are handed out in chunks of at least this size, unless no more come. */
const CHUNK = 65_536;

/** The rows of one COPY on the wire, with back-pressure in both directions. */
export class CopyTransfer {
  readonly #wire: PgWire;
  readonly #rows: CopySource | CopySink;
  readonly #end: () => void;
  #state: 'announced' | 'canceled' | 'flowing' | 'paused' | 'ended' = 'announced';
  #pieces: Buffer[] = [];
  #size = 0;

  /** `end` writes what ends the flight. @throws NotSupportedError where the server can't wait for rows. */
  constructor(wire: PgWire, rows: CopySource | CopySink, end: () => void) {
    if (rows.direction === 'from' && !wire.takesRows) {
      throw new NotSupportedError(
        "PGlite can't wait for the rows of COPY FROM STDIN. Use an executemany, or COPY … FROM '/dev/blob' of its own client.",
      );
    }
    this.#wire = wire;
    this.#rows = rows;
    this.#end = () => {
      end();
      wire.send();
    };
  }

  get direction(): 'from' | 'to' {
    return this.#rows.direction;
  }

  /** The server waits for what the application gives or takes. */
  get awaitsApplication(): boolean {
    return this.#rows.progress !== undefined;
  }

  /** CopyInResponse. */
  send(): void {
    if (this.#state === 'canceled') return this.#fail();
    this.#state = 'flowing';
    void this.#pump();
  }

  async #pump(): Promise<void> {
    const source = this.#rows as CopySource;
    const { writer } = this.#wire;
    let isWhole = false;
    try {
      for (let pieces = await source.next(); pieces !== undefined; pieces = await source.next()) {
        if (this.#isEnded) return;
        if (!this.#wire.sendRows(pieces)) await this.#wire.drained();
        // A source that is always ready must not keep the process from all else.
        await nextTurn();
      }
      isWhole = true;
    } catch {
      // The source keeps its error, which may hold what is not for the server's log.
    }
    if (this.#isEnded) return;
    this.#state = 'ended';
    if (isWhole) writer.copyDone();
    else writer.copyFail('the source of the rows has failed');
    this.#end();
  }

  get #isEnded(): boolean {
    return this.#state === 'ended';
  }

  /** CopyOutResponse. */
  receive(): void {
    this.#state = 'flowing';
    this.#end();
  }

  /** Gives up; the server hears of it at once where it waits for rows. */
  cancel(): void {
    if (this.#state === 'announced') this.#state = 'canceled';
    else if (this.direction === 'from' && this.#state === 'flowing') this.#fail();
    else if (this.#state !== 'canceled') this.stop();
  }

  #fail(): void {
    this.#state = 'ended';
    this.#wire.writer.copyFail('the COPY was canceled');
    this.#end();
  }

  /** The statement has succeeded; one that was no COPY has asked for no rows. */
  answered(): void {
    if (this.#state === 'announced' || this.#state === 'canceled') this.#end();
    this.stop();
  }

  stop(): void {
    const wasPaused = this.#state === 'paused';
    this.#state = 'ended';
    this.#deliver();
    if (wasPaused) this.#wire.resume();
  }

  /** The server has sent one row. */
  take(bytes: Buffer, start: number, end: number): void {
    if (this.direction === 'from') return;
    if (this.#pieces.push(bytes.subarray(start, end)) === 1) runNextTurn(() => this.#deliver());
    this.#size += end - start;
    if (this.#size >= CHUNK) this.#deliver();
  }

  #deliver(): void {
    if (this.#pieces.length === 0) return;
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#size = 0;
    const resume = (): void => {
      if (this.#state !== 'paused') return;
      this.#state = 'flowing';
      this.#wire.resume();
    };
    const hasRoom = (this.#rows as CopySink).write(Buffer.concat(pieces), pieces.length, resume);
    if (hasRoom || this.#isEnded) return;
    this.#state = 'paused';
    this.#wire.pause();
  }
}
