import type { ConnectionSession } from './connection-session.js';
import type { Batch, Command, Control, Portal, RowShape, WantedRows } from '../driver/driver.js';
import type { CommandObserver, TargetOptions } from '../execution/invocation.js';

/** What sends the statement that a portal is of. */
interface Opening {
  /** Travels in front of it. */
  readonly control: readonly Control[];
  readonly command: Command;
  readonly options: TargetOptions | undefined;
}

/** A portal on the session of a connection: opened by its first fetch, and closed in time. */
export class SessionPortal {
  readonly #session: ConnectionSession<unknown>;
  #portal: Portal | undefined;

  constructor(session: ConnectionSession<unknown>) {
    this.#session = session;
  }

  /** Its statement was sent. */
  get isOpen(): boolean {
    return this.#portal !== undefined;
  }

  get shape(): RowShape | undefined {
    return this.#portal?.shape;
  }

  fetchFirst(opening: Opening, wanted: WantedRows, observer: CommandObserver | undefined): Promise<Batch> {
    return this.#session.sendFirst(opening.options, (told) => {
      const portal = (this.#portal = this.#session.openPortal(opening.control, opening.command, told));
      return this.#fetch(portal, wanted, observer);
    });
  }

  fetch(wanted: WantedRows, observer?: CommandObserver): Promise<Batch> {
    return this.#session.runRestored(() => this.#fetch(this.#portal as Portal, wanted, observer));
  }

  #fetch(portal: Portal, { count, csv }: WantedRows, observer: CommandObserver | undefined): Promise<Batch> {
    return this.#session.run(() => portal.fetch(count, csv), observer);
  }

  /** As with ROLLBACK, the server has nothing to do but to hear of it. */
  async close(): Promise<void> {
    const portal = this.#portal;
    if (portal !== undefined) await this.#session.inTime(() => portal.close());
  }
}
