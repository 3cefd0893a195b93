import type { Batch, Portal, RowShape } from '../driver/driver.js';
import type { StreamSource } from '../result/stream-source.js';

/** A source of a stream whose failures are put into the words that the user gets. */
export class MappedErrorSource implements StreamSource {
  readonly #source: StreamSource;
  readonly #answerTo: (error: unknown) => unknown;

  constructor(source: StreamSource, answerTo: (error: unknown) => unknown) {
    this.#source = source;
    this.#answerTo = answerTo;
  }

  async open(): Promise<Portal> {
    try {
      return new MappedErrorPortal(await this.#source.open(), this.#answerTo);
    } catch (error) {
      throw this.#answerTo(error);
    }
  }

  release(failure?: unknown): Promise<void> {
    return this.#source.release(failure);
  }
}

class MappedErrorPortal implements Portal {
  readonly #portal: Portal;
  readonly #answerTo: (error: unknown) => unknown;

  constructor(portal: Portal, answerTo: (error: unknown) => unknown) {
    this.#portal = portal;
    this.#answerTo = answerTo;
  }

  get shape(): RowShape | undefined {
    return this.#portal.shape;
  }

  async fetch(count: number): Promise<Batch> {
    try {
      return await this.#portal.fetch(count);
    } catch (error) {
      throw this.#answerTo(error);
    }
  }

  close(): Promise<void> {
    return this.#portal.close();
  }
}
