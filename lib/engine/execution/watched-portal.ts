import type { Batch, Command, Portal, RowShape } from '../driver/driver.js';

/** Sends commands in its own way, with all that it tells of them. */
export interface CommandObserver {
  run<T>(commands: readonly Command[], send: (commands: readonly Command[]) => Promise<T>): Promise<T>;
  /** True: a listener was stopped from outside, which leaves the session in an unknown state. */
  readonly isInterrupted: boolean;
  /** The statement has succeeded. */
  finished(rowCount: number): void;
}

/** A cursor whose first fetch, with which its statement is sent, is told of. */
export class ObservedPortal implements Portal {
  readonly #watch: CommandObserver;
  readonly #command: Command;
  readonly #open: (command: Command) => Portal;
  #portal: Portal | undefined;

  constructor(watch: CommandObserver, command: Command, open: (command: Command) => Portal) {
    this.#watch = watch;
    this.#command = command;
    this.#open = open;
  }

  get shape(): RowShape | undefined {
    return this.#portal?.shape;
  }

  async fetch(count: number): Promise<Batch> {
    if (this.#portal !== undefined) return await this.#portal.fetch(count);
    const batch = await this.#watch.run([this.#command], ([command = this.#command]) => {
      this.#portal = this.#open(command);
      return this.#portal.fetch(count);
    });
    this.#watch.finished(-1);
    return batch;
  }

  async close(): Promise<void> {
    await this.#portal?.close();
  }
}
