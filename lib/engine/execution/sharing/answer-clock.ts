import { now, timeWaited } from '../../util/clock.js';

/** When something was sent, or answered. */
export interface Moment {
  /** By the clock of {@link now}. */
  readonly at: number;
  /** By the clock of {@link timeWaited}. */
  readonly waited: number;
  /** How often the clock had seen the event loop go round. */
  readonly round: number;
}

/**
 * How long answers take, also in a process that never waits: there an answer lies unread for a while, but one
 * that is not read when the event loop has gone round has not come. An answer to what was sent in the present
 * round begins the next one.
 */
export class AnswerClock {
  #round = 0;
  /** When the present round began, and the two before it. */
  #present = 0;
  #last = 0;
  #lastButOne = 0;

  moment(): Moment {
    return { at: now(), waited: timeWaited(), round: this.#round };
  }

  /** Milliseconds that the server has taken at least of those between `from` and `answered`. */
  between(from: Moment, answered: Moment): number {
    // What had come in the round before the present one was read in it.
    return Math.max(answered.waited - from.waited, this.#lastButOne - from.at);
  }

  /** Of what was sent at `sent`. */
  noteAnswer(sent: Moment, answered: Moment): void {
    if (sent.round !== this.#round) return;
    this.#round += 1;
    this.#lastButOne = this.#last;
    this.#last = this.#present;
    this.#present = answered.at;
  }
}
