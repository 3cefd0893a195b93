import type { Command, CommandOptions, CommandResult, DriverConnection } from '../driver/driver.js';
import type { CommandTarget } from '../execution/invocation.js';

/** Where the log of the primary ends now: behind all that the answers so far have confirmed. */
const PLACE: Command = { text: 'SELECT pg_current_wal_insert_lsn()::text AS "lsn"' };

const NOTHING: CommandResult = { command: '', rowCount: -1, shape: undefined, rows: [] };
const PIPELINED = { isPipelined: true } as const;

/** Sends one flight with the options that it gets. */
type Send<T> = (options: CommandOptions) => Promise<T>;

/** Whether a replica has what the caller has written. */
export interface Question {
  readonly command: Command;
  readonly isYes: (answer: CommandResult) => boolean;
}

/**
 * Asks `question` in front of a flight, in the same write and under a Sync of its own, so that the flight has
 * no snapshot yet. Undefined where the answer is no: then what the flight has given counts for nothing.
 */
export async function askInFront<T>(
  session: DriverConnection,
  { command, isYes }: Question,
  send: Send<T>,
): Promise<{ readonly answer: T } | undefined> {
  const asked = session.execute([], command, PIPELINED).then(isYes, () => false);
  const sent = send(PIPELINED);
  sent.catch(() => undefined);
  if ((await asked) || !session.isOpen) return { answer: await sent };
  await sent.catch(() => undefined);
  return undefined;
}

/**
 * Asks for the place of a write behind its flight, in the same write and under a Sync of its own, and tells
 * `note` of it before the flight is answered. Undefined: nothing says where it is.
 */
export async function askBehind<T>(
  session: DriverConnection,
  note: (lsn: string | undefined) => void,
  send: Send<T>,
): Promise<T> {
  let isAnswered = false;
  const sent = send(PIPELINED).finally(() => {
    isAnswered = true;
  });
  // A flight that has to be sent in two parts is overtaken by its question, which is then asked again.
  const place = placeOf(session).then((lsn) => (isAnswered ? lsn : sent.then(() => placeOf(session))));
  place.catch(() => undefined);
  try {
    const answer = await sent;
    note(await place);
    return answer;
  } catch (error) {
    await place.catch(() => undefined);
    throw error;
  }
}

async function placeOf(session: DriverConnection): Promise<string | undefined> {
  try {
    const { rows } = await session.execute([], PLACE, PIPELINED);
    const [row] = rows as readonly { readonly lsn?: string }[];
    return row?.lsn;
  } catch {
    // The write itself has its own answer.
    return undefined;
  }
}

/** A session on a replica that is asked first whether it has the caller's own writes. */
export class AskingTarget implements CommandTarget {
  readonly #session: DriverConnection;
  readonly #question: Question;
  readonly #onBehind: () => void;

  /** `onBehind` is called where it has not: then the result is empty. */
  constructor(session: DriverConnection, question: Question, onBehind: () => void) {
    this.#session = session;
    this.#question = question;
    this.#onBehind = onBehind;
  }

  execute(...[control, command, options]: Parameters<CommandTarget['execute']>): Promise<CommandResult> {
    return this.#ask((told) => this.#session.execute(control, command, { ...options, ...told }), NOTHING);
  }

  executeMany(
    ...[control, commands, options]: Parameters<CommandTarget['executeMany']>
  ): Promise<CommandResult[]> {
    return this.#ask((told) => this.#session.executeMany(control, commands, { ...options, ...told }), []);
  }

  async #ask<T>(send: Send<T>, nothing: T): Promise<T> {
    const asked = await askInFront(this.#session, this.#question, send);
    if (asked !== undefined) return asked.answer;
    this.#onBehind();
    return nothing;
  }
}

/** A session on the primary whose writes are noted. */
export class MarkingTarget implements CommandTarget {
  readonly #send: <T>(send: MarkedSend<T>) => Promise<T>;

  constructor(send: <T>(send: MarkedSend<T>) => Promise<T>) {
    this.#send = send;
  }

  execute(...[control, command, options]: Parameters<CommandTarget['execute']>): Promise<CommandResult> {
    return this.#send((session, told) => session.execute(control, command, { ...options, ...told }));
  }

  executeMany(
    ...[control, commands, options]: Parameters<CommandTarget['executeMany']>
  ): Promise<CommandResult[]> {
    return this.#send((session, told) => session.executeMany(control, commands, { ...options, ...told }));
  }
}

type MarkedSend<T> = (session: DriverConnection, options: CommandOptions | undefined) => Promise<T>;
