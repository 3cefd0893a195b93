import type { CommandOptions, Control } from '../driver/driver.js';
import { Mutex } from '../util/mutex.js';

/** Sends a command behind the deferred control. */
type Carrying<T> = (deferred: readonly Control[], options: CommandOptions) => Promise<T>;

/**
 * Control statements that travel in front of whatever is sent next. They stay queued until they are written:
 * a batch may be refused before. Until then the batches behind it wait, since they would have to carry them.
 */
export class DeferredControl {
  #waiting: readonly Control[] = [];
  /** Held by the batch that carries them, until it is written. */
  readonly #sending = new Mutex();

  /** Nothing has to be carried or waited for. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0 && !this.#sending.isHeld;
  }

  /** The session still has settings of a transaction or statement that has ended. */
  get hasSettings(): boolean {
    return this.#waiting.some(({ kind }) => kind === 'settings');
  }

  add(control: Control): void {
    this.#waiting = [...this.#waiting, control];
  }

  clear(): void {
    this.#waiting = [];
  }

  /** Those that wait, and the options of the batch that carries them. */
  carried(options: CommandOptions | undefined): [readonly Control[], CommandOptions | undefined] {
    const waiting = this.#waiting;
    if (waiting.length === 0) return [waiting, options];
    return [waiting, { ...options, written: () => this.#forget(waiting) }];
  }

  /** Sends a batch, in its turn, with all that waits in front. */
  carry<T>(options: CommandOptions | undefined, send: Carrying<T>): Promise<T> {
    if (this.#sending.tryAcquire()) return this.#carry(options, send);
    return this.#sending.acquire().then(() => this.#carry(options, send));
  }

  #carry<T>(options: CommandOptions | undefined, send: Carrying<T>): Promise<T> {
    const carrying = { isOver: false };
    const end = (): void => {
      if (!carrying.isOver) this.#sending.release();
      carrying.isOver = true;
    };
    const waiting = this.#waiting;
    const written = (): void => {
      this.#forget(waiting);
      end();
    };
    try {
      const sent = send(waiting, { ...options, written });
      if (waiting.length === 0) end();
      // Mostly it has left by now.
      return carrying.isOver ? sent : sent.finally(end);
    } catch (error) {
      end();
      throw error;
    }
  }

  #forget(written: readonly Control[]): void {
    if (written.length > 0) this.#waiting = this.#waiting.filter((control) => !written.includes(control));
  }
}
