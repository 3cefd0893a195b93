import type { Socket } from 'node:net';
import { OperationalError } from '../../../errors/server-errors.js';
import { now, runNextTurn, startTimer } from '../../../util/clock.js';

/** Ends a session whose server says nothing while an answer is due: TCP alone would wait for minutes. */
export class SilenceLimit {
  readonly #socket: Socket;
  readonly #limit: number;
  readonly #isDue: () => boolean;
  #sentAt = 0;

  /** `isDue`: the server has to say something. */
  constructor(socket: Socket, limit: number, isDue: () => boolean) {
    this.#socket = socket;
    this.#limit = limit;
    this.#isDue = isDue;
    socket.setTimeout(limit, () => this.#look(socket.bytesRead));
  }

  /** Something was sent. Node calls a timer that is due with another one also where that one restarts it. */
  noteSent(): void {
    this.#sentAt = now();
  }

  /** `read`: the bytes that had come when the time was over. */
  #look(read: number): void {
    // A process that stood still has yet to read what came: in one turn, or in the next where it paused.
    runNextTurn(() => runNextTurn(() => this.#judge(read)));
  }

  #judge(read: number): void {
    if (this.#socket.bytesRead !== read || !this.#isDue()) return;
    const left = this.#limit - (now() - this.#sentAt);
    if (left > 1) startTimer(() => this.#look(read), left);
    else this.#socket.destroy(silent(this.#limit));
  }
}

const silent = (limit: number): OperationalError =>
  new OperationalError(
    `the server has sent nothing for ${limit} ms (socketTimeout) while an answer was due.`,
  );
